"""Elements shared by several parts of the report: status, duration, anchor."""

from __future__ import annotations

from dtk.events.tree import Status
from dtk.views.formatting import duration_text, long_duration, status_word
from dtk.views.markup import Markup, join, tag
from dtk.views.picture_svg import SYMBOLS

_LONG = 100.0
"""Durations of at least this many seconds are shown in minutes."""
NOTICEABLE_SECONDS = 0.05
"""Smaller differences of durations, in seconds, do not count: durations are shown with one decimal."""


def badge(status: Status) -> Markup:
    """Return a status as a word with its symbol, in its color."""
    return tag("span", mark(status), " ", status_word(status), class_=f"badge {status}")


def mark(status: Status) -> Markup:
    """Return the symbol of a status, with the word as its tooltip."""
    return tag("span", SYMBOLS[status], class_=f"mark {status}", title=status_word(status))


def time_taken(seconds: float | None) -> str:
    """Return a duration in its shortest readable form, such as ``3.4s`` or ``5m 12s``; "" for None."""
    return "" if seconds is None else duration_text(seconds) if seconds < _LONG else long_duration(seconds)


def change_of(seconds: float) -> str:
    """Return a difference of durations with its sign."""
    return f"{'+' if seconds >= 0 else '-'}{time_taken(abs(seconds))}"


def anchor(number: str) -> str:
    """Return the anchor of a step or a stage in the page."""
    return f"step-{number}"


def summary_place(number: str) -> str:
    """Return the id of a step's ``details`` element; ``anchor`` is inside it, so that a link to the anchor opens it."""
    return f"row-{number}"


def section(title: str, *content: Markup | None, note: str = "", id_: str = "") -> Markup:
    """Return a section of the page with its heading."""
    return tag(
        "section", tag("h2", title), tag("p", note, class_="note") if note else None, join(*content), id=id_ or None
    )
