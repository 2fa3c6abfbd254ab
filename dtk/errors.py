"""Errors that dtk reports to people: one class per exit code, and problems with their locations.

The entry point (``dtk.__main__``) turns a ``DtkError`` into a message and its exit code; any other exception that
reaches it is a bug in dtk. Exit codes are those of docs/architecture.md: 0 done, 1 failed, 2 usage, 3 invalid,
4 locked, 5 stale plan or unknown machines, 6 cancelled,
10 changes (``plan --detailed-exitcode``), 130 interrupted.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Location:
    """A position in a file that a person wrote; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


def proposal(nearest: str) -> str:
    """Return a question that suggests the nearest valid name; "" if there is none."""
    return f"did you mean '{nearest}'?" if nearest else ""


@dataclass(frozen=True)
class Problem:
    """One error in a document: its location, what was found, what was expected.

    ``path`` is the position inside the document (``components/worker/attributes/port/type``);
    ``nearest`` is the valid name closest to what was written, if one is close. ``kind`` is a violation's type
    (``required_unset_attribute`` …), "" for other errors; ``fix`` is the command that fixes it, if there is one.
    ``private`` means that the content at the location must not be shown: a hidden value, a secret.
    """

    message: str
    location: Location | None = None
    path: str = ""
    expected: str = ""
    nearest: str = ""
    kind: str = ""
    fix: str = ""
    private: bool = False

    @property
    def description(self) -> str:
        """The problem, what was expected and the nearest name, in one line; without location and fix."""
        expected = f"expected {self.expected}" if self.expected else ""
        return "; ".join(part for part in (self.message, expected, proposal(self.nearest)) if part)

    def __str__(self) -> str:
        prefix = f"{self.location}: " if self.location else ""
        where = f" (at {self.path})" if self.path else ""
        fix = f"; fix it: {self.fix}" if self.fix else ""
        return f"{prefix}{self.description}{where}{fix}"


class DtkError(Exception):
    """A failure that a person can act on; ``hint`` is the command or the edit to try next."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NewerFormatError(DtkError):
    """A newer dtk wrote the document: this version might misread it, or lose content when it writes it again."""

    def __init__(self, source: str, document: str, version: int) -> None:
        super().__init__(f"{source} was written by a newer dtk ({document} format {version})", hint="update dtk")


class UsageError(DtkError):
    """The command line asks for something that does not exist or is not possible."""

    exit_code = 2


class InvalidError(DtkError):
    """A module, a service or the workspace is invalid, or has violations; ``problems`` are in file order."""

    exit_code = 3

    def __init__(self, message: str, problems: Sequence[Problem] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join([self.message, *map(str, self.problems)])


class LockedError(DtkError):
    """Another process holds the service's lock; the message names it."""

    exit_code = 4


class StalePlanError(DtkError):
    """The plan was made by another version of dtk, or from a state or modules that have changed since."""

    exit_code = 5


_OF_THE_MACHINE = {
    errno.EACCES: "run dtk as the owner of the files, or change their permissions (see ls -l)",
    errno.EPERM: "run dtk as the owner of the files (see ls -l)",
    errno.EROFS: "use a workspace on a disk that can be written",
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some space: your disk quota is used up",
    errno.EMFILE: "allow this user more open files (ulimit -n), or work on fewer nodes at once (max_in_flight)",
    errno.ENFILE: "close programs that hold many open files, or raise fs.file-max",
    errno.ENOMEM: "free some memory, or work on fewer nodes at once (max_in_flight)",
    errno.ENAMETOOLONG: "use a shorter name or path",
    errno.EISDIR: "a file is expected there: move the folder away",
    errno.ENOTDIR: "a folder is expected there: move the file away",
}
"""Failures of system calls that people can fix, with what to do; any other failure is a bug."""


def refused_by_machine(error: Exception) -> DtkError | None:
    """Return the error to report for a failed system call, or None if it is a bug."""
    if not isinstance(error, OSError) or error.errno not in _OF_THE_MACHINE:
        return None
    path = error.filename
    prefix = f"{os.fsdecode(path)}: " if isinstance(path, str | bytes | os.PathLike) else ""
    return DtkError(f"{prefix}{error.strerror}", hint=_OF_THE_MACHINE[error.errno])
