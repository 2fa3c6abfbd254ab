"""One edit at a time of the files in a folder that people write, too: service.yaml, dtk.yaml, dtk.lock."""

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
    """Keep other dtk processes from editing files of the same folder, from the reading of a file to its replacement.

    The folder itself is locked: no file is left in what people commit. Within an edit, further ones go on. Where a
    filesystem has no locks, what was read is still compared with what is there before it is replaced.
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
    """Return a function that edits the file it is given first, as one that waits for others that edit beside it."""

    @functools.wraps(edit)
    def alone(file: Path, /, *arguments: _P.args, **named: _P.kwargs) -> _R:
        with editing(file):
            return edit(file, *arguments, **named)

    return alone
