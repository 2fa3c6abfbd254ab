"""Starts the worker of a task before the command that needs it is loaded: both take as long to load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING

from dtk.apply.worker_ahead import WorkerAhead
from dtk.errors import DtkError
from dtk.service.context import current_workspace, named_service
from dtk.service.shared_store import store_settings_of
from dtk.state.workspace import Workspace

if TYPE_CHECKING:
    from typer._click.core import Context

_HELP = {"--help", "-h"}
_YES = {"--yes", "-y"}
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
    """Return the worker that was started for a service, which is the caller's now; end one for another service."""
    worker = _waiting.get()
    if worker is None or (worker.workspace, worker.service) != (workspace, service):
        _end()
        return None
    _waiting.set(None)
    return worker


def _end() -> None:
    worker = _waiting.get()
    if worker is not None:
        _waiting.set(None)
        worker.end()


def _service(arguments: Sequence[str]) -> tuple[Workspace, str] | None:
    """Return the service that a command line is for, as far as it can be told without parsing it.

    None also if the workspace has a shared store: a worker that ships records to it can't start early.
    """
    try:
        workspace = current_workspace()
        if store_settings_of(workspace) is not None:
            return None
        names = workspace.service_names()
        named = next((word for word in arguments if word in names), None)
        # A word that is no option may be a plan file, or a mistake.
        if named is None and not all(word.startswith("-") for word in arguments):
            return None
        return workspace, named_service(workspace, named)
    except (DtkError, OSError):
        return None  # the command says what is wrong
