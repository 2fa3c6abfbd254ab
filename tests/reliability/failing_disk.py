"""Fails one sync of the process that loads it: the tests install it as ``sitecustomize``; dtk does not know it.

``FAILING_FILE`` is the name of the file, ``FAILING_SYNC`` the number of its sync, from 1. As Linux does after such an
error, the disk drops what was not synced before, and its next sync succeeds.
"""

import errno
import os
from pathlib import Path

real = os.fsync
synced: list[int] = []


def fsync(descriptor: int) -> None:
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    if path.name != os.environ.get("FAILING_FILE"):
        real(descriptor)
        return
    size = os.fstat(descriptor).st_size
    if len(synced) + 1 == int(os.environ["FAILING_SYNC"]):
        start = synced[-1] if synced else 0
        with path.open("r+b") as file:
            file.seek(start)
            file.write(b"\0" * (size - start))
        synced.append(start)
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    real(descriptor)
    synced.append(size)


if __name__ == "sitecustomize":
    setattr(os, "fsync", fsync)  # noqa: B010
