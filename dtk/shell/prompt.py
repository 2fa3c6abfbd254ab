"""The prompt at a terminal: keys, completion, history, and a toolbar with the running tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import History

from dtk.shell.completion import completions
from dtk.shell.history import HistoryFile
from dtk.shell.session import LeaveShellError, Session
from dtk.shell.watch import LOOK_EVERY, TaskWatch

WELCOME = "help lists the commands; tasks continue when you leave (^D)."


class _NameCompleter(Completer):
    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:  # noqa: ARG002
        found, piece = completions(self._session, document.text_before_cursor)
        return [Completion(name, start_position=-len(piece)) for name in found]


class _LineHistory(History):
    """The lines of earlier sessions and of this one, without lines that may contain secrets."""

    def __init__(self, file: HistoryFile) -> None:
        super().__init__()
        self._file = file

    def load_history_strings(self) -> Iterable[str]:
        return reversed(self._file.lines())

    def append_string(self, string: str) -> None:
        if self._file.add(string):
            self._loaded_strings.insert(0, string)

    def store_string(self, string: str) -> None:
        """Do nothing: ``append_string`` has already stored the line if allowed."""


def interact(session: Session, history: HistoryFile, watch: TaskWatch) -> int:
    """Read and run lines until ^D or exit; ^C discards the line. Return the exit code, 0."""
    prompt: PromptSession[str] = PromptSession(
        completer=_NameCompleter(session),
        complete_while_typing=False,
        complete_in_thread=True,
        history=_LineHistory(history),
        bottom_toolbar=lambda: watch.toolbar() or None,
    )
    # A signal reports changes of the window's size; polling it would keep an idle shell busy.
    prompt.app.terminal_size_polling_interval = None

    def keep_toolbar() -> None:
        prompt.app.create_background_task(_refreshed(prompt.app, watch))

    print(WELCOME)  # noqa: T201 - the shell's own screen
    while True:
        for notice in watch.notices():
            print(notice)  # noqa: T201 - as above
        try:
            session.run_line(prompt.prompt(f"dtk:{session.context.path}>", pre_run=keep_toolbar))
        except KeyboardInterrupt:
            continue
        except (EOFError, LeaveShellError):
            return 0


async def _refreshed(screen: Application[str], watch: TaskWatch) -> None:
    """Redraw the toolbar while a task runs; an idle shell does nothing."""
    while watch.toolbar():
        await asyncio.sleep(LOOK_EVERY)
        screen.invalidate()
