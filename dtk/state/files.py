"""Small files written so that a crash or a full disk leaves the old content or the new one, never a piece."""

from __future__ import annotations

import os
from pathlib import Path

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, and those above it that are missing, so that a power cut leaves them there."""
    if folder.is_dir():
        return
    make_folder(folder.parent, mode)
    folder.mkdir(mode=mode, exist_ok=True)
    sync_folder(folder.parent)


def make_private_folder(folder: Path) -> None:
    """Make a folder as ``make_folder`` does, for this user alone."""
    make_folder(folder, PRIVATE_FOLDER)


def sync_folder(folder: Path) -> None:
    """Put a folder's entries on disk: a rename is only safe once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: Path, text: str) -> None:
    """Write a private file that is not there yet, and put it on disk.

    Raises:
        FileExistsError: it is there.
        OSError: it can't be written; nothing is left of it.
    """
    write_bytes_new(path, text.encode("utf-8"))


def write_bytes_new(path: Path, data: bytes) -> None:
    """Write a private file of bytes that is not there yet, and put it on disk; it fails as ``write_new`` does."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        # What a full disk refuses is told of a descriptor, which names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error


def append_line(path: Path, line: str) -> None:
    """Add one line to a private file, which need not be there yet, and put it on disk.

    Raises:
        OSError: it can't be written; a piece of the line may be there, without its end.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, text: str, *, keep_versions: int = 0) -> None:
    """Replace a private file's content in one step.

    Args:
        path: the file; it need not be there yet.
        text: its new content.
        keep_versions: how many earlier versions stay beside it, as ``NAME.1`` (the newest) and so on.

    Raises:
        OSError: it can't be written; the old content stands.
    """
    try:
        _replace(path, text, keep_versions)
    except OSError as error:
        # Whoever reads the message knows the file, not the temporary one beside it.
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
    # A hard link, not a rename: there is no moment at which the file itself is missing.
    version_of(path, 1).hardlink_to(path)


def version_of(path: Path, number: int) -> Path:
    """Return where an earlier version of a file is kept."""
    return path.with_name(f"{path.name}.{number}")
