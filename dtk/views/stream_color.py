"""The stream in color: statuses, errors and next commands are colored, output of nodes is not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dtk.views.ci.forge import ForgeText
from dtk.views.formatting import CYAN, RED, YELLOW, colored, status_color

_STATUS = re.compile(r"^(STATUS|Status): (?P<word>\w+)")
_STEP_ENDED = re.compile(r"^[\w:-]+: [\w ]+ (?P<word>succeeded|failed|cancelled)( in |:|$)")
_FAILED = re.compile(r"^(ERRORS?:|RETURN CODE: [1-9])")
_NEXT = re.compile(r"^To resume: ")
_INFORMATION = re.compile(r"^INFO: ")
_MESSAGE = re.compile(r"^(error|warning|next):", re.MULTILINE)
_HEADING = re.compile(r"^STAGE \d")


def stream_in_color(texts: Iterable[str]) -> Iterator[str]:
    """Yield a stream's texts with its own lines colored; output of nodes stays as it is."""
    for text in texts:
        yield text if isinstance(text, ForgeText) else lines_in_color(text)


def lines_in_color(text: str) -> str:
    """Return text with lines that contain a status, an error or the next command in color."""
    return "\n".join(map(_in_color, text.split("\n")))


def message_in_color(text: str) -> str:
    """Return an error message with the labels of its lines colored, such as ``error:`` and ``next:``."""
    return _MESSAGE.sub(lambda found: colored(found[0], RED if found[0] == "error:" else YELLOW), text)


def _in_color(line: str) -> str:
    found = _STATUS.match(line) or _STEP_ENDED.match(line)
    if found:
        word = found["word"].lower()
        color = status_color("succeeded" if word == "ok" else word)
        return colored(line, color) if color else line
    if _FAILED.match(line):
        return colored(line, RED)
    if _NEXT.match(line) or _INFORMATION.match(line):
        return colored(line, YELLOW)
    return colored(line, CYAN) if _HEADING.match(line) else line
