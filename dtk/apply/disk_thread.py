"""Syncs files in threads of their own, so that other greenlets run while the disk works."""

from __future__ import annotations

from gevent.threadpool import ThreadPool

from dtk.disk.files import sync_file

_FILES = 2  # the log and the state's journal; a pool shared with name look-ups could be full of those
_THREADS = ThreadPool(_FILES)


def sync_in_thread(descriptor: int) -> None:
    """Write an open file to disk; only the calling greenlet waits.

    Raises:
        OSError: it can't be written.
    """
    if error := _THREADS.apply(_error_of_sync, (descriptor,)):
        raise error


def _error_of_sync(descriptor: int) -> OSError | None:
    # gevent prints the traceback of an error that leaves the thread's function.
    try:
        sync_file(descriptor)
    except OSError as error:
        return error
    return None
