"""``dtk shell``: opens a prompt at a terminal, otherwise runs a script."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from dtk.__main__ import run
from dtk.service.context import current_workspace
from dtk.shell.history import HistoryFile
from dtk.shell.session import Session
from dtk.shell.workspace_names import WorkspaceNames

HISTORY_FILE = "shell_history"


def shell(
    command: Annotated[
        str | None, typer.Option("--command", "-c", metavar="LINES", help="Run these commands, separated by ;.")
    ] = None,
) -> None:
    """Open the interactive shell: locations, completion, tasks in the background.

    With -c, or with commands on standard input, it runs them and waits for every task. It stops at the first
    command that fails, with its exit code. Example: dtk shell -c 'cd service/dask1; master info'
    """
    workspace = current_workspace()
    names = WorkspaceNames(workspace)
    if command is not None or not sys.stdin.isatty():
        lines = command.splitlines() if command is not None else sys.stdin
        raise typer.Exit(Session(names, run, asynchronous=False).run_script(lines))
    from dtk.shell.prompt import interact  # noqa: PLC0415 - prompt_toolkit, only at a terminal
    from dtk.shell.watch import TaskWatch  # noqa: PLC0415

    session = Session(names, run, asynchronous=True)

    def hidden() -> list[str]:
        return [name for service in names.services() for name in names.hidden_attributes(service)]

    raise typer.Exit(interact(session, HistoryFile(workspace.local / HISTORY_FILE, hidden), TaskWatch(workspace)))
