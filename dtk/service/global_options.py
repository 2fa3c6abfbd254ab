"""The global options of the command that runs, and how it says what is not its result."""

from __future__ import annotations

import sys
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

_said: set[str] = set()


@dataclass(frozen=True)
class Settings:
    """The global options as given. ``offline``: nothing is asked of a shared store. ``ci`` is "" where not given."""

    workspace: Path | None = None
    no_color: bool = False
    offline: bool = False
    ci: str = ""


_settings: ContextVar[Settings] = ContextVar("settings", default=Settings())  # noqa: B039 - Settings is frozen


def remember(given: Settings) -> None:
    """Keep the global options for the command that runs."""
    _settings.set(given)
    _said.clear()


def settings() -> Settings:
    """Return the global options of the command that runs."""
    return _settings.get()


def notify(text: str) -> None:
    """Say something that is not the command's result, once: a line on standard error."""
    if text not in _said:
        _said.add(text)
        sys.stderr.write(f"{text}\n")
