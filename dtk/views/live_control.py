"""What the keys of a live screen do: leave it, or cancel the task after a question."""

from __future__ import annotations

from collections.abc import Callable

from dtk.errors import DtkError
from dtk.views.keyboard import END_OF_INPUT

_LEAVE = frozenset({"q", "Q", END_OF_INPUT})


class LeftError(Exception):
    """The watcher pressed a key to leave."""


class Control:
    """Takes keys; ``footer`` is what the screen's last line says about them now."""

    def __init__(self, cancel: Callable[[], object] | None = None) -> None:
        """Watch only, or be able to cancel the task by calling ``cancel``."""
        self._cancel = cancel
        self._asking = False
        self.footer = self._help

    @property
    def _help(self) -> str:
        return "q leaves, c cancels the task" if self._cancel else "q leaves"

    def press(self, keys: str) -> None:
        """Do what keys stand for, in order.

        Raises:
            LeftError: one of them leaves the screen.
        """
        for key in keys:
            self._press(key)

    def _press(self, key: str) -> None:
        if self._asking:
            self._asking = False
            self.footer = self._cancelled() if key in "yY" else self._help
        elif key in _LEAVE:
            raise LeftError
        elif key in "cC" and self._cancel:
            self._asking = True
            self.footer = "Cancel the task? y cancels it, any other key continues watching"

    def _cancelled(self) -> str:
        """Ask for the task's end; a task that is over by now is no reason to leave the screen with an error."""
        try:
            if self._cancel:
                self._cancel()
        except DtkError as error:
            return f"not cancelled: {error.message}; {self._help}"
        return "the task was asked to stop; q leaves"
