"""The keys of a live screen: leave it, or cancel the task after a confirmation."""

from __future__ import annotations

from collections.abc import Callable

from dtk.errors import DtkError
from dtk.views.keyboard import END_OF_INPUT

_LEAVE = frozenset({"q", "Q", END_OF_INPUT})


class LeftError(Exception):
    """The user pressed a key to leave."""


class Control:
    """Handles keys; ``footer`` is the current text of the screen's last line, which explains them."""

    def __init__(self, cancel: Callable[[], object] | None = None) -> None:
        """Only watch, or also allow to cancel the task by calling ``cancel``."""
        self._cancel = cancel
        self._asking = False
        self.footer = self._help

    @property
    def _help(self) -> str:
        return "q quits, c cancels the task" if self._cancel else "q quits"

    def press(self, keys: str) -> None:
        """Handle keys in order.

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
        """Cancel the task and return the new footer; a task that is already over must not end the screen."""
        try:
            if self._cancel:
                self._cancel()
        except DtkError as error:
            return f"not cancelled: {error.message}; {self._help}"
        return "cancellation requested; q quits"
