"""Crash-safe writing of small files: a crash or a full disk leaves the old or the new content, never a part."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Create a folder and its missing parents, and sync them so that they survive a power failure."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)


def make_private_folder(folder: Path) -> None:
    """Create a folder like ``make_folder``, accessible only to this user."""
    make_folder(folder, PRIVATE_FOLDER)


def sync_file(descriptor: int) -> None:
    """Write an open file to disk, also from the cache of its drive."""
    # On macOS, fsync leaves data in the drive's cache; F_FULLFSYNC does not, if the filesystem supports it.
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Sync a folder's entries to disk: a rename is durable only after its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync_file(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, text: str) -> None:
    """Write a new private file and sync it to disk.

    Raises:
        FileExistsError: the file exists.
        OSError: the file can't be written; nothing of it remains.
    """
    write_bytes_new(path, text.encode("utf-8"))


def write_bytes_new(path: Path, data: bytes) -> None:
    """Write a new private file of bytes and sync it to disk; it raises the same errors as ``write_new``."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            sync_file(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        # A full disk raises an error about the descriptor, which has no file name.
        raise OSError(error.errno, error.strerror, str(path)) from error


def append_line(path: Path, line: str) -> None:
    """Append one line to a private file, creating it if necessary, and sync it to disk.

    Raises:
        OSError: the line can't be written; a part of it may be in the file, without its line end.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        sync_file(file.fileno())


def replace_file(path: Path, text: str, *, keep_versions: int = 0) -> None:
    """Replace a private file's content atomically.

    Args:
        path: the file; it need not exist.
        text: the new content.
        keep_versions: how many earlier versions to keep beside it, as ``NAME.1`` (the newest) and so on.

    Raises:
        OSError: the file can't be written; the old content remains.
    """
    try:
        _replace(path, text, keep_versions)
    except OSError as error:
        # The user knows this file, not the temporary one beside it.
        raise OSError(error.errno, error.strerror, str(path)) from error


def _replace(path: Path, text: str, keep_versions: int) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    write_new(temporary, text)
    try:
        if keep_versions and path.exists():
            _rotate(path, keep_versions)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _rotate(path: Path, keep_versions: int) -> None:
    for number in range(keep_versions - 1, 0, -1):
        older = version_of(path, number)
        if older.exists():
            older.replace(version_of(path, number + 1))
    # A hard link, not a rename, so that the file itself is never missing.
    version_of(path, 1).hardlink_to(path)


def version_of(path: Path, number: int) -> Path:
    """Return the path of an earlier version of a file."""
    return path.with_name(f"{path.name}.{number}")
