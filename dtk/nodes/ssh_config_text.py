"""The text of ``~/.ssh/config`` with the files that it includes, as paramiko can parse it."""

from __future__ import annotations

import glob
import os
import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from dtk.errors import InvalidError

_DEEPEST = 8
"""Maximum depth of files that include other files."""
_ALL = "host *"
_SETTING = re.compile(r"(\w+)(?:\s*=\s*|\s+)(.+)")
# A comment begins with a # that follows a space, outside of quotes.
_COMMENT = re.compile(r"""((?:[^"'\\]|\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')*?)\s#.*""")
_WITHOUT_VALUE = ("all", "canonical", "final")
"""Criteria of Match without a value."""
_OTHERS_CAN_WRITE = 0o022


@dataclass
class _ConfigReading:
    """The text and what it was read from: each file's time of change, and the files that each Include found."""

    text: str = ""
    files: dict[str, int] = field(default_factory=dict)
    included: dict[str, list[str]] = field(default_factory=dict)

    def is_current(self) -> bool:
        try:
            return all(Path(file).stat().st_mtime_ns == changed for file, changed in self.files.items()) and all(
                _found(pattern) == files for pattern, files in self.included.items()
            )
        except OSError:
            return False


_readings: dict[Path, _ConfigReading] = {}


def config_text(file: Path) -> str:
    """Return a file's text with those of included files; it is read again only if one of them has changed.

    Raises:
        InvalidError: other users can change one of the files, or an Include names an unknown user's folder.
        OSError, ValueError: a file can't be read or parsed.
    """
    known = _readings.get(file)
    if known is None or not known.is_current():
        known = _ConfigReading()
        known.text = "\n".join(_lines(str(file), file.parent, _ALL, 0, known))
        _readings[file] = known
    return known.text


def _lines(file: str, folder: Path, outer: str, depth: int, reading: _ConfigReading) -> list[str]:
    """Return a file's lines with those of included files, because paramiko ignores Include.

    ``outer`` is the Host or Match line that the file's Include is under: it restricts the file's own sections.
    """
    lines: list[str] = []
    section = outer
    for written in _content(file, reading).splitlines():
        line = _without_comment(written)
        said = _SETTING.fullmatch(line.strip())
        keyword, value = (said[1].lower(), said[2]) if said else ("", "")
        if keyword in ("host", "match"):
            section = line = _within(outer, f"{keyword} {value}")
        if keyword != "include" or depth >= _DEEPEST:
            lines.append(line)
            continue
        for pattern in shlex.split(value):
            for found in _included(pattern, folder, reading):
                lines += [*_lines(found, folder, section, depth + 1, reading), section]
    return lines


def _content(file: str, reading: _ConfigReading) -> str:
    with Path(file).open(encoding="utf-8") as opened:
        about = os.fstat(opened.fileno())
        if about.st_uid not in (0, os.getuid()) or about.st_mode & _OTHERS_CAN_WRITE:
            # OpenSSH refuses such a file as well: it names programs that run as this user.
            raise InvalidError(
                f"other users can change {file}",
                hint=f"make it writable by you only: chown $USER {file}; chmod go-w {file}; or set ssh_config: false",
            )
        reading.files[file] = about.st_mtime_ns
        return opened.read()


def _without_comment(line: str) -> str:
    found = _COMMENT.fullmatch(line)
    return found[1].rstrip() if found else line


def _included(pattern: str, folder: Path, reading: _ConfigReading) -> list[str]:
    """Return the files that an Include names, relative to ``~/.ssh`` as in OpenSSH."""
    try:
        named = str(folder / Path(pattern).expanduser())
    except RuntimeError:
        raise InvalidError(
            f"{folder / 'config'} includes {pattern}, but this machine has no such user",
            hint="correct it, or set ssh_config: false",
        ) from None
    reading.included[named] = _found(named)
    return reading.included[named]


def _found(pattern: str) -> list[str]:
    files = glob.glob(pattern)  # noqa: PTH207 - the pattern may be an absolute path
    return sorted(file for file in files if not Path(file).is_dir())


def _within(outer: str, section: str) -> str:
    """Return the Host or Match line that applies where both of the given ones do."""
    restriction, own = _criteria(outer), _criteria(section)
    if restriction:
        return f"match {restriction} {own}".rstrip()
    return f"match {own or 'all'}" if section.startswith("match ") else section


def _in_lower_case(words: Iterable[str]) -> Iterator[str]:
    """Yield the words of a Match line with its keywords in lower case: paramiko would ignore ``Match Host``.

    Such a section would apply to every host. Values, such as a command after ``exec``, keep their case.
    """
    rest = iter(words)
    for word in rest:
        yield word.lower()
        if word.lower().lstrip("!") not in _WITHOUT_VALUE:
            yield from islice(rest, 1)


def _criteria(section: str) -> str:
    """Return the criteria of a Host or Match line as those of Match, "" if it applies to all hosts."""
    keyword, *words = shlex.split(section)
    if keyword == "match":
        return shlex.join(word for word in _in_lower_case(words) if word != "all")
    return "" if words == ["*"] else f"originalhost {shlex.quote(','.join(words))}"
