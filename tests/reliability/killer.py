"""Kills the process it is loaded into at a chosen point: put beside as ``sitecustomize`` by the tests, unknown to dtk.

A point lies before and after each event, and each fsync, rename, link, removal and new folder in the workspace.
"""

import atexit
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT, WANTED = os.environ.get("KILLER_ROOT", ""), int(os.environ.get("KILLER_POINT", "0"))
WORDS = f"{' '.join(sys.orig_argv)} "
ROLE = "worker" if "dtk.apply.worker" in WORDS else "command" if " -m dtk " in WORDS else ""
passed = [0]


def point() -> None:
    passed[0] += 1
    if passed[0] == WANTED and os.environ.get("KILLER_ROLE") == ROLE:
        os.kill(os.getpid(), signal.SIGKILL)


def is_meant(name: str, arguments: tuple[Any, ...]) -> bool:
    if name == "write":
        return b'"seq":' in bytes(arguments[1])
    place = arguments[0]
    if isinstance(place, int):
        place = Path(f"/proc/self/fd/{place}").readlink()
    return ROOT in os.fspath(place)


def watched(name: str) -> Callable[..., Any]:
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
    Path(f"{os.environ['KILLER_COUNTS']}.{ROLE}").write_text(str(passed[0]))


if ROLE and ROOT:
    for name in ("write", "fsync", "replace", "rename", "link", "unlink", "mkdir"):
        setattr(os, name, watched(name))
    if "KILLER_COUNTS" in os.environ:
        atexit.register(write_count)
