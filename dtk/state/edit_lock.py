"""Serializes edits of files that people also edit, one at a time per folder: service.yaml, dtk.yaml, dtk.lock."""

from __future__ import annotations

import fcntl
import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

_P = ParamSpec("_P")
_R = TypeVar("_R")
_held: set[Path] = set()


@contextmanager
def editing(file: Path) -> Iterator[None]:
    """Lock out other dtk processes that edit files in the same folder, from reading a file to replacing it.

    The lock is on the folder itself, so that no lock file appears among committed files. It is reentrant. If the
    filesystem has no locks, the file's content is still compared with what was read before it is replaced.
    """
    folder = file.resolve().parent
    if folder in _held or not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    _held.add(folder)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        _held.discard(folder)
        os.close(descriptor)


def one_at_a_time(edit: Callable[Concatenate[Path, _P], _R]) -> Callable[Concatenate[Path, _P], _R]:
    """Decorate a function that edits the file in its first argument: it holds the folder's lock while it runs."""

    @functools.wraps(edit)
    def alone(file: Path, /, *arguments: _P.args, **named: _P.kwargs) -> _R:
        with editing(file):
            return edit(file, *arguments, **named)

    return alone
