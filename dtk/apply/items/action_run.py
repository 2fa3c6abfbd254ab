"""A running action on one node: what its items, guards and outputs need, and how they run commands there."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import gevent
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host

from dtk.apply.items.action_values import ActionValues
from dtk.apply.reporting.failure import ActionError, FailedCommand, TimeLimit
from dtk.apply.session.connector import RecordingConnector
from dtk.apply.session.node_session import NodeSession
from dtk.model.json_data import JsonObject, ReadOnlyJson
from dtk.model.planned_action import PlannedAction


class ItemReporter(Protocol):
    """What an item reports while it runs; in a task, a ``StepReporter`` receives it."""

    def waiting(self, reason: str) -> None:
        """Report that something begins that may print nothing for a long time."""

    def retrying(self, attempt: int, attempts: int, delay: float, reason: str) -> None:
        """Report that a failed item is retried after ``delay`` seconds."""

    def operation(self, message: str, **fields: ReadOnlyJson) -> None:
        """Report that an item is finished."""


@dataclass(frozen=True)
class ActionProgress:
    """What the items of an action have changed so far.

    ``changed`` collects their ids, over this attempt and the earlier ones. ``is_certain`` means that nothing changed
    before. If an earlier task may have stopped between a change and its consequence, everything counts as changed.
    """

    changed: set[str] = field(default_factory=set)
    is_certain: bool = True

    def may_have_changed(self, ids: Collection[str]) -> bool:
        """Return whether one of the items with these ids changed something, or may have."""
        return not self.is_certain or not self.changed.isdisjoint(ids)


@dataclass(frozen=True)
class Work:
    """An action, its node and its values. ``files`` is the folder with the copies of the module's files."""

    action: PlannedAction
    session: NodeSession
    host: Host
    reporter: ItemReporter
    values: ActionValues
    files: Path
    progress: ActionProgress = field(default_factory=ActionProgress)

    @property
    def name(self) -> str:
        """The action's name in error messages, for example ``dask::scheduler.create``."""
        return f"{self.action.component}.{self.action.action}"

    @property
    def connector(self) -> RecordingConnector:
        """The node's connector."""
        return cast(RecordingConnector, self.host.connector)

    @property
    def defaults(self) -> JsonObject:
        """pyinfra's global arguments for everything that the action runs."""
        return {name: self.values.data(value) for name, value in self.action.defaults.items()}

    def query(self, command: str) -> tuple[bool, list[str], list[str]]:
        """Run a read-only command; return whether it succeeded, and its lines of standard output and of errors."""
        ok, output = self.host.run_shell_command(StringCommand(command), print_output=True, **self.defaults)
        return ok, output.stdout_lines, output.stderr_lines

    def execute(self, command: str) -> bool:
        """Run a command that changes something; return whether it succeeded."""
        ok, _ = self.host.run_shell_command(StringCommand(command), **self.defaults)
        return bool(ok)


LONGEST_COMMAND = 200
"""Characters of a command in a message; its event has the whole command."""
_FIRST_SIGNAL = 128


def _ending(code: int) -> str:
    """Describe how a command ended, from its exit code: a shell returns 128 plus the signal's number."""
    if code == -1:
        return "was killed by a signal before it returned an exit code"
    try:
        name = signal.Signals(code - _FIRST_SIGNAL).name
    except ValueError:
        return f"exited with code {code}"
    why = ", which the kernel sends when memory runs out (dmesg)" if name == "SIGKILL" else ""
    return f"was ended by {name}{why} (code {code})"


@contextmanager
def time_limit(work: Work, seconds: float | None) -> Iterator[None]:
    """Limit the time of the block, in seconds; on timeout, also end the running command on the node.

    Raises:
        ActionError: the block timed out.
    """
    if seconds is None:
        yield
        return
    limit = TimeLimit(seconds)
    timer = gevent.Timeout(seconds, limit)
    timer.start()
    try:
        yield
    except TimeLimit as reached:
        if reached is not limit:
            raise
        raise _timed_out(work, limit) from None
    finally:
        timer.close()


def _timed_out(work: Work, limit: TimeLimit) -> ActionError:
    timed_out = work.session.record.running
    left = work.session.end_running_command()
    message = f"{work.name}: {f'{timed_out!r} ' if timed_out else ''}{limit}"
    failed = FailedCommand(timed_out, None, work.session.record.last_output()) if timed_out else None
    return ActionError(f"{message}; {left}" if left else message, failed=failed)


def failed_command(work: Work, failed: FailedCommand) -> ActionError:
    """Return the error for a failed command: the command, how it ended, and the last line that it printed."""
    last = next((line for line in reversed(failed.output.splitlines()) if line.strip()), "")
    how = "failed" if failed.exit_code is None else _ending(failed.exit_code)
    first_line, _, more = failed.command.partition("\n")
    cut = len(first_line) > LONGEST_COMMAND
    command = f"{first_line[:LONGEST_COMMAND]} …" if more or cut else first_line
    detail = f": {last.strip()}" if last else ", without any output"
    return ActionError(f"{work.name}: '{command}' {how}{detail}", failed=failed)
