"""The global options of the running command, and notices that are not part of its result."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

_said: set[str] = set()


@dataclass(frozen=True)
class Settings:
    """The global options as given. ``offline``: don't contact a shared store. ``ci`` is "" if not given."""

    workspace: Path | None = None
    no_color: bool = False
    offline: bool = False
    ci: str = ""


_settings: ContextVar[Settings] = ContextVar("settings", default=Settings())  # noqa: B039 - Settings is frozen


def remember(given: Settings) -> None:
    """Set the global options of the running command."""
    _settings.set(given)
    _said.clear()


def settings() -> Settings:
    """Return the global options of the running command."""
    return _settings.get()


def notify(text: str) -> None:
    """Print a line on standard error that is not part of the command's result; each text is printed only once."""
    if text not in _said:
        _said.add(text)
        sys.stderr.write(f"{text}\n")
