"""What several parts of the report draw alike: a status, a duration, an anchor."""

from __future__ import annotations

from dtk.events.tree import Status
from dtk.views.formatting import duration_text, long_duration, status_word
from dtk.views.markup import Markup, join, tag
from dtk.views.picture_svg import SYMBOLS

_LONG = 100.0
"""Seconds from which a duration is shown in minutes."""
NOTICEABLE_SECONDS = 0.05
"""Differences of durations below this are no difference: durations are shown to a tenth of a second."""


def badge(status: Status) -> Markup:
    """Return a status as a word with its symbol, in its colour."""
    return tag("span", mark(status), " ", status_word(status), class_=f"badge {status}")


def mark(status: Status) -> Markup:
    """Return a status's symbol; the word stands beside it or in its title."""
    return tag("span", SYMBOLS[status], class_=f"mark {status}", title=status_word(status))


def time_taken(seconds: float | None) -> str:
    """Return a duration as short as it can be read: ``3.4s``, ``5m 12s``; "" when it is not known."""
    return "" if seconds is None else duration_text(seconds) if seconds < _LONG else long_duration(seconds)


def change_of(seconds: float) -> str:
    """Return a difference of durations with its sign."""
    return f"{'+' if seconds >= 0 else '-'}{time_taken(abs(seconds))}"


def anchor(number: str) -> str:
    """Return the place of a step or a stage in the page."""
    return f"step-{number}"


def summary_place(number: str) -> str:
    """Return the id of a step's own line; ``anchor`` is inside of it, so that following a link opens it."""
    return f"row-{number}"


def section(title: str, *content: Markup | None, note: str = "", id_: str = "") -> Markup:
    """Return a part of the page below its heading."""
    return tag(
        "section", tag("h2", title), tag("p", note, class_="note") if note else None, join(*content), id=id_ or None
    )
