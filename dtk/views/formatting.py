"""Formatting for the screen: times, durations, widths, and removal of harmful characters from output."""

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
"""Colors by status, in order of precedence; the status is always shown as a word, too."""
_RESET = "\x1b[0m"

# Terminal escape sequences: CSI (colors, cursor), OSC (titles, links), and those of two characters.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_=>])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def table_time(moment: datetime | None) -> str:
    """Return a time as in tables, ``HH:MM:SS DD/MM/YY`` in UTC; "" for None."""
    return moment.astimezone(UTC).strftime("%H:%M:%S %d/%m/%y") if moment else ""


def stream_time(moment: datetime) -> str:
    """Return a time as in the stream, ``YYYY-MM-DD HH:MM:SS +0000``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000")


def duration_text(seconds: float | None) -> str:
    """Return a duration with one decimal, such as ``83.8s``; "" for None."""
    return "" if seconds is None else f"{seconds:.1f}s"


def long_duration(seconds: float) -> str:
    """Return a duration for people, such as ``45s``, ``1m 30s`` or ``2h 5m``."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {rest}s" if minutes else f"{rest}s"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun in the singular or plural: ``1 step``, ``2 steps``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def colored(text: str, color: str) -> str:
    """Return text in one of this file's colors."""
    return f"{color}{text}{_RESET}"


def status_word(status: str) -> str:
    """Return a status as a word, even for steps that have not begun."""
    return "not started" if status == "created" else status


def status_color(status: str) -> str:
    """Return the color of a status, or of the most important one in ``failed(1),succeeded(2)``; "" for none."""
    return next((color for word, color in STATUS_COLORS.items() if word in status), "")


def harmless(text: str) -> str:
    """Return output of a node without characters that would move the cursor or color the terminal.

    If a line was redrawn with carriage returns (a progress bar), keep its last state.
    """
    if text.isprintable():
        return text
    lines = _ESCAPES.sub("", text).replace("\r\n", "\n").split("\n")
    return "\n".join(_CONTROLS.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in lines)


def one_line(text: str) -> str:
    """Return text for a single line: harmless, with line breaks and tabs as single spaces."""
    return re.sub(r"[\n\t]+", " ", harmless(text)).strip()


def width(text: str) -> int:
    """Return the number of columns that text takes: two for wide characters, none for combining ones."""
    return len(text) if text.isascii() else sum(_character_width(character) for character in text)


def padded(text: str, columns: int) -> str:
    """Return text padded with blanks to a number of columns."""
    return text + " " * (columns - width(text))


def cropped(text: str, columns: int) -> str:
    """Return the part of a line that fits into a number of columns."""
    if width(text) <= columns:
        return text
    taken = 0
    for position, character in enumerate(text):
        taken += _character_width(character)
        if taken > columns:
            return text[:position]
    return text


def terminal_columns(output: TextIO) -> int | None:
    """Return the width of the terminal that output goes to; None if it is not a terminal or the width is unknown."""
    try:
        return os.get_terminal_size(output.fileno()).columns or None
    except (OSError, ValueError):
        return None


def _character_width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
