"""Finds what was not converted in a folder of the original: files, and comments in documents."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from dtk.convert.section import Note
from dtk.errors import Location

# Lines with quotes are ignored, because the # may be part of a text.
_COMMENT = re.compile(r"^\s*#|^[^'\"]*\s#\s")
_SHOWN = 3
"""Maximum number of files named in a note about a folder."""
_KEPT_ELSEWHERE = (".git", "__pycache__")


def leftovers(root: Path, documents: Collection[Path], copied: Collection[Path]) -> Iterator[Note]:
    """Yield a note for each folder with files that were neither read nor copied, and for each document with comments.

    Args:
        root: the converted folder.
        documents: the documents that were read.
        copied: the files copied with the modules.
    """
    used = {folder for file in (*documents, *copied) for folder in file.parents}
    left: dict[Path, list[str]] = {}
    for file in sorted(path for path in root.rglob("*") if path.is_file() or path.is_symlink()):
        name = file.relative_to(root)
        if any(part in _KEPT_ELSEWHERE for part in name.parts) or file in copied:
            continue
        if file in documents:
            yield from _comments(file, str(name))
        else:
            folder = _topmost_unused(file, root, used)
            left.setdefault(folder, []).append(file.relative_to(folder).as_posix())
    for folder, names in left.items():
        yield _not_copied(folder, names, root)


def _topmost_unused(file: Path, root: Path, used: Collection[Path]) -> Path:
    """Return the topmost folder that contains a file and nothing used, else the folder of the file."""
    above = [folder for folder in file.parents if folder != root and root in folder.parents and folder not in used]
    return above[-1] if above else file.parent


def _not_copied(folder: Path, names: list[str], root: Path) -> Note:
    if len(names) == 1:
        place = (folder / names[0]).relative_to(root)
        return Note(Location(str(place), 1, 1), "", "the file is not copied: no action or Puppet code uses it")
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    message = f"{len(names)} files are not copied: no action or Puppet code uses them ({shown})"
    return Note(Location(str(folder.relative_to(root)), 1, 1), "", message)


def _comments(file: Path, name: str) -> Iterator[Note]:
    lines = file.read_text(encoding="utf-8").splitlines()
    found = [number for number, line in enumerate(lines, start=1) if _COMMENT.search(line)]
    if found:
        count = "a comment is" if len(found) == 1 else f"{len(found)} comments are"
        yield Note(Location(name, found[0], 1), "", f"{count} not converted; the first is here")
