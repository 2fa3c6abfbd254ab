"""Starts the worker of a task before the command that needs it is loaded: both take as long to load."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from dtk.apply.worker_ahead import WorkerAhead
from dtk.errors import UsageError
from dtk.service.global_options import settings
from dtk.state.workspace import Workspace, find_workspace

if TYPE_CHECKING:
    from typer._click.core import Context

_HELP = {"--help", "-h"}
_YES = {"--yes", "-y"}
_STORE = re.compile(r"^store:", re.MULTILINE)
"""A shared store in dtk.yaml, as people write it. A worker that ships records to one can't start early."""
_waiting: ContextVar[WorkerAhead | None] = ContextVar("waiting", default=None)


def load_beside_worker(command: str, arguments: Sequence[str], load: Callable[[], Context]) -> Context:
    """Load a command; if it will most likely start a task, start the worker first.

    Args:
        command: ``apply`` or ``converge``.
        arguments: its arguments, not checked yet.
        load: loads the command, and checks them.

    Returns:
        The command's context, which ends a worker that the command did not take.
    """
    found = None if _HELP & {*arguments} else _service(arguments)
    if found and (command == "converge" or is_first_task(*found, yes=bool(_YES & {*arguments}))):
        _waiting.set(WorkerAhead(*found))
    try:
        context = load()
    except BaseException:
        _end()
        raise
    context.call_on_close(_end)
    return context


def is_first_task(workspace: Workspace, service: str, *, yes: bool) -> bool:
    """Return whether ``apply`` will start a task without a question; after the first there may be nothing to do."""
    return yes and not workspace.tasks(service).exists()


def take_early(workspace: Workspace, service: str) -> WorkerAhead | None:
    """Return the worker that was started for a service, None if there is none; afterwards it is the caller's."""
    worker = _waiting.get()
    if worker is None or (worker.workspace, worker.service) != (workspace, service):
        return None
    _waiting.set(None)
    return worker


def _end() -> None:
    worker = _waiting.get()
    if worker is not None:
        _waiting.set(None)
        worker.end()


def _service(arguments: Sequence[str]) -> tuple[Workspace, str] | None:
    """Return the service that a command line is for, as far as it can be told without parsing it."""
    given = settings().workspace
    try:
        workspace = Workspace(given.resolve()) if given else find_workspace(Path.cwd())
        has_store = _STORE.search(workspace.file.read_text(encoding="utf-8"))
    except (UsageError, OSError, UnicodeDecodeError):
        return None
    if has_store:
        return None
    names = workspace.service_names()
    named = [word for word in arguments if word in names] or [os.environ.get("DTK_SERVICE", "")]
    if named[0] in names:
        return workspace, named[0]
    # A word that is no option may be a plan file, or a mistake.
    return (workspace, names[0]) if len(names) == 1 and all(word.startswith("-") for word in arguments) else None
