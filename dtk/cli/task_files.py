"""The files written when a task has ended, whatever its result: JUnit XML and an HTML page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dtk.cli.output import write_file
from dtk.cli.pictures import service_arrows
from dtk.errors import DtkError, InvalidError, UsageError
from dtk.events.earlier_tasks import earlier_tasks
from dtk.events.event import utc_now
from dtk.events.tree import StepError, Task
from dtk.state.workspace import Workspace
from dtk.views.picture import Arrow

if TYPE_CHECKING:
    from dtk.views.report.page import Surroundings


@dataclass(frozen=True)
class TaskFiles:
    """The requested files."""

    junit: Path | None = None
    report: Path | None = None

    def check(self) -> None:
        """Refuse files that can't be written, before anything is done.

        Raises:
            UsageError: the folder does not exist.
        """
        for file in filter(None, (self.junit, self.report)):
            if not file.absolute().parent.is_dir():
                raise UsageError(
                    f"cannot write {file.name}: folder {file.parent} does not exist", hint="create it first"
                )

    def write(self, task: Task, workspace: Workspace | None) -> None:
        """Write the requested files about a task.

        Raises:
            DtkError: a file can't be written.
        """
        if self.junit:
            from dtk.views.junit import junit_text  # noqa: PLC0415 - the XML library, only when used

            write_file(self.junit, junit_text(task))
        if self.report:
            log = workspace.event_log(task.service, task.number) if workspace and task.number else None
            write_file(self.report, report_text(task, log, workspace))


def report_text(task: Task, log: Path | None, workspace: Workspace | None) -> str:
    """Return a task as an HTML page.

    Args:
        task: the task.
        log: its event log, with those of earlier tasks beside it; None for a task that never started.
        workspace: the workspace of its service; None for a separate log file.
    """
    from dtk.views.report.page import report_page  # noqa: PLC0415 - only when a page is requested

    around = surroundings(task, log, workspace)
    return report_page(task, utc_now(), before=around.before, arrows=around.arrows)


def surroundings(task: Task, log: Path | None, workspace: Workspace | None) -> Surroundings:
    """Return what a task's page shows besides the task; the arguments are those of ``report_text``."""
    from dtk.views.report.page import Surroundings  # noqa: PLC0415 - as above

    return Surroundings(next(earlier_tasks(log, 1), None) if log else None, _arrows(task, workspace))


def _arrows(task: Task, workspace: Workspace | None) -> tuple[Arrow, ...]:
    """Return which components use which, from the service's current files; nothing if they are missing or invalid."""
    if workspace is None:
        return ()
    try:
        return service_arrows(workspace, task.service)
    except DtkError:
        return ()


def nothing_done(service: str) -> Task:
    """Return the task of a command that found nothing to do."""
    now = utc_now()
    return Task(type="nothing to do", service=service, status="succeeded", started_at=now, ended_at=now)


@contextmanager
def files_of_refusals(files: TaskFiles, service: str) -> Iterator[None]:
    """Write the files of a command that fails before its task starts; they contain the error."""
    try:
        yield
    except DtkError as error:
        now = utc_now()
        problems = error.problems if isinstance(error, InvalidError) else ()
        errors = tuple(StepError(message) for message in (error.message, *map(str, problems)))
        task = Task(type="refused", service=service, status="failed", started_at=now, ended_at=now, errors=errors)
        files.write(task, None)
        raise
