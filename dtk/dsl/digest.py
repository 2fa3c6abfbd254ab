"""The digest of a module's whole tree, which identifies its content in plans and dtk.lock."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from dtk.dsl.yaml.document import shown_file
from dtk.errors import InvalidError, Location, Problem

_IGNORED_FOLDERS = {".git", "__pycache__"}
_IGNORED_SUFFIX = ".pyc"


def tree_digest(folder: Path, display_root: Path | None = None) -> str:
    """Return ``sha256:…`` over a folder: sorted relative paths, and each file's executable bit and content.

    ``.git``, ``__pycache__`` and ``*.pyc`` are ignored; so are dates and owners, which git does not store.

    Raises:
        InvalidError: the tree contains a symlink or a special file: it could lead out of the module, and the
            digest would not cover its target.
    """
    total = hashlib.sha256()
    problems = []
    for path in sorted(_files(folder), key=lambda found: found.relative_to(folder).as_posix()):
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            what = "a symlink" if stat.S_ISLNK(mode) else "not a file"
            name = shown_file(path, display_root)
            problems.append(Problem(f"{what} can't be part of a module", Location(name, 1, 1), expected="a plain file"))
            continue
        name = path.relative_to(folder).as_posix()
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        executable = "x" if mode & stat.S_IXUSR else "-"
        total.update(f"{executable} {content} {name}\0".encode("utf-8", "surrogateescape"))
    if problems:
        raise InvalidError(f"{shown_file(folder, display_root)} is not a module", problems)
    return f"sha256:{total.hexdigest()}"


def _files(folder: Path) -> Iterator[Path]:
    """Yield everything below a folder except folders; symlinks are not followed."""
    for root, folders, names in os.walk(folder):
        linked = [name for name in folders if (Path(root) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in _IGNORED_FOLDERS and name not in linked]
        for name in [*names, *linked]:
            if not name.endswith(_IGNORED_SUFFIX):
                yield Path(root) / name
