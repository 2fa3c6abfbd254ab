"""Kills the process that loads it at a chosen point: the tests install it as ``sitecustomize``; dtk does not know it.

There is a point before and after each event, and each fsync, rename, link, removal and new folder in the workspace.
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("write", "fsync", "replace", "rename", "link", "unlink", "mkdir")
passed = [0]
mine = {"root": "", "role": ""}


def point() -> None:
    """Pass one point, or kill the process there."""
    passed[0] += 1
    if passed[0] == int(os.environ.get("KILLER_POINT", "0")) and os.environ.get("KILLER_ROLE") == mine["role"]:
        os.kill(os.getpid(), signal.SIGKILL)


def is_meant(name: str, arguments: tuple[Any, ...]) -> bool:
    """Return whether a call changes the workspace: it writes an event, or changes a file on disk."""
    if name == "write":
        return b'"seq":' in bytes(arguments[1])
    place = arguments[0]
    if isinstance(place, int):
        place = Path(f"/proc/self/fd/{place}").readlink()
    return mine["root"] in os.fspath(place)


def watched(name: str) -> Callable[..., Any]:
    """Return a function of ``os`` with a point before and after it."""
    real = getattr(os, name)

    def call(*arguments: Any, **named: Any) -> Any:
        if not is_meant(name, arguments):
            return real(*arguments, **named)
        point()
        result = real(*arguments, **named)
        point()
        return result

    return call


def write_count() -> None:
    """Write how many points this process passed, if KILLER_COUNTS is set."""
    if mine["role"] and "KILLER_COUNTS" in os.environ:
        Path(f"{os.environ['KILLER_COUNTS']}.{mine['role']}").write_text(str(passed[0]))


def arm(role: str) -> None:
    """Start watching this process, as a ``command`` or as a ``worker``."""
    mine.update(root=os.environ.get("KILLER_ROOT", ""), role=role)
    passed[0] = 0
    if mine["root"]:
        for name in NAMES:
            setattr(os, name, watched(name))


if __name__ == "sitecustomize":
    WORDS = f"{' '.join(sys.orig_argv)} "
    if ROLE := "worker" if "dtk.apply.worker" in WORDS else "command" if " -m dtk " in WORDS else "":
        arm(ROLE)
        atexit.register(write_count)
