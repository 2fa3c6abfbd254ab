"""How values look on a screen: times, durations, widths, output made harmless."""

from __future__ import annotations

import os
import re
import unicodedata
from datetime import UTC, datetime
from typing import TextIO

YELLOW = "\x1b[33m"
RED = "\x1b[31m"
GREEN = "\x1b[32m"
CYAN = "\x1b[36m"
STATUS_COLORS = {"cancelled": YELLOW, "failed": RED, "executing": CYAN, "succeeded": GREEN}
"""Colours by meaning, the gravest first; the word stands there, too."""
_RESET = "\x1b[0m"

# Escape sequences of a terminal: CSI (colours, cursor), OSC (titles, links), and the two-character ones.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_=>])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def table_time(moment: datetime | None) -> str:
    """Return a moment as tables write it, ``HH:MM:SS DD/MM/YY`` in UTC; "" when there is none."""
    return moment.astimezone(UTC).strftime("%H:%M:%S %d/%m/%y") if moment else ""


def stream_time(moment: datetime) -> str:
    """Return a moment as the stream writes it, ``YYYY-MM-DD HH:MM:SS +0000``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000")


def duration_text(seconds: float | None) -> str:
    """Return a duration with one decimal, ``83.8s``; "" when it is not known."""
    return "" if seconds is None else f"{seconds:.1f}s"


def long_duration(seconds: float) -> str:
    """Return a duration for people: ``45s``, ``1m 30s``, ``2h 5m``."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or the plural: ``1 step``, ``2 steps``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def colored(text: str, color: str) -> str:
    """Return text in one of this file's colours."""
    return f"{color}{text}{_RESET}"


def status_word(status: str) -> str:
    """Return a status as a word where a blank would not do."""
    return "not begun" if status == "created" else status


def status_color(status: str) -> str:
    """Return the colour of a status, or of the gravest in ``failed(1),succeeded(2)``; "" for what has none."""
    return next((color for word, color in STATUS_COLORS.items() if word in status), "")


def harmless(text: str) -> str:
    """Return output of a node without what would move or colour the terminal that shows it.

    Of a line that was redrawn with carriage returns (a progress bar) the last state stays.
    """
    if text.isprintable():
        return text
    lines = _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(_CONTROLS.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines)


def one_line(text: str) -> str:
    """Return text as a cell can hold it: harmless, line breaks and tabs as single spaces."""
    return re.sub(r"[\n\t]+", " ", harmless(text)).strip()


def width(text: str) -> int:
    """Return how many columns text takes: wide characters two, combining ones none."""
    return len(text) if text.isascii() else sum(_character_width(character) for character in text)


def padded(text: str, columns: int) -> str:
    """Return text filled with blanks to so many columns."""
    return text + " " * (columns - width(text))


def cropped(text: str, columns: int) -> str:
    """Return as much of a line as fits into so many columns."""
    if width(text) <= columns:
        return text
    taken = 0
    for position, character in enumerate(text):
        taken += _character_width(character)
        if taken > columns:
            return text[:position]
    return text


def terminal_columns(output: TextIO) -> int | None:
    """Return how wide the terminal is that output goes to, None where it is none or does not know."""
    try:
        return os.get_terminal_size(output.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
