"""A store in a folder shared by several machines (NFS, EFS); conditions are checked under a short file lock."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dtk.disk.files import make_private_folder, sync_folder, write_bytes_new
from dtk.store.errors import StoreError, StoreUnreachableError
from dtk.store.objects import Stored

_LOCK = ".lock"
_CLOCK = ".clock"


class FolderObjects:
    """Objects as files in a folder. The etag is the digest of the content."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Stored | None:
        """Return an object, or None if it does not exist."""
        try:
            descriptor = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
            with os.fdopen(descriptor, "rb") as file:
                data, written = file.read(), os.fstat(descriptor).st_mtime
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._problem(error) from error
        return Stored(data, _etag(data), max(self._now() - written, 0.0))

    def put_new(self, key: str, data: bytes) -> str | None:
        """Write an object that must not exist yet; return its etag, or None if it exists."""
        with self._locked():
            return None if self._path(key).exists() else self._write(key, data)

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        """Replace an object that must still have this etag; return the new etag, or None if it changed or is gone."""
        with self._locked():
            try:
                there = _etag(self._path(key).read_bytes())
            except FileNotFoundError:
                return None
            return self._write(key, data) if there == etag else None

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        """Return the keys that start with ``prefix`` and sort after ``after``, sorted."""
        # Walk only the folder that the prefix names, not the whole store.
        start = self._folder / prefix.rpartition("/")[0]
        try:
            files = [path.relative_to(self._folder).as_posix() for path in start.rglob("*") if path.is_file()]
        except OSError as error:
            raise self._problem(error) from error
        keys = (key for key in files if not key.rpartition("/")[2].startswith("."))
        return sorted(key for key in keys if key.startswith(prefix) and key > after)

    def names(self, prefix: str) -> Sequence[str]:
        """Return the names directly below ``prefix`` (which ends with /) that contain objects, sorted."""
        try:
            return sorted(path.name for path in self._path(prefix).iterdir() if path.is_dir())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._problem(error) from error

    def delete(self, key: str) -> None:
        """Remove an object; do nothing if it does not exist."""
        with self._locked():
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._folder / key

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            make_private_folder(self._folder)
            descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise self._problem(error) from error

    def _write(self, key: str, data: bytes) -> str:
        path = self._path(key)
        make_private_folder(path.parent)
        temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        write_bytes_new(temporary, data)
        temporary.replace(path)
        sync_folder(path.parent)
        return _etag(data)

    def _now(self) -> float:
        """Return the file server's time (by touching a file), or this machine's time without write permission."""
        path = self._folder / _CLOCK
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return time.time()
        try:
            os.utime(descriptor)
            return os.fstat(descriptor).st_mtime
        finally:
            os.close(descriptor)

    def _problem(self, error: OSError) -> StoreError:
        message = f"the store's folder {self._folder} can't be used: {error.strerror or error}"
        if isinstance(error, PermissionError):
            return StoreError(message, hint="ask the folder's owner for permission")
        return StoreUnreachableError(message)


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
