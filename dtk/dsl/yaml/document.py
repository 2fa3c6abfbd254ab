"""YAML documents as plain data with the position of every key and value.

This is YAML 1.2 as parsed by ruamel.yaml, limited to what people write by hand: maps with text keys, lists, scalars.
Aliases, tags and merge keys are refused, so that a small file can't become a large document.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dtk.dsl.yaml.span import DocumentPath, Span
from dtk.errors import InvalidError, Location, Problem

LARGEST_FILE = 1_000_000
"""In bytes. Nobody writes more by hand, and the parser takes a second or two per 100 kB."""


@dataclass(frozen=True)
class Document:
    """Plain data with positions; paths are keys and list indices from the document's root.

    Numbers are those of ``dtk.model.written``, which keep their text. ``values`` and ``keys`` map paths to the spans of
    values and keys; ``text`` is the whole file.
    """

    file: str
    text: str
    data: Any
    values: Mapping[DocumentPath, Span]
    keys: Mapping[DocumentPath, Span]

    def locate(self, path: DocumentPath) -> Location:
        """Return the location of a value, or of the nearest enclosing value."""
        while path not in self.values:
            path = path[:-1]
        return self.values[path].location

    def locate_inside(self, path: DocumentPath, line: int, word: str) -> Location:
        """Return the location of a position in a block text (``|``, ``>``).

        Args:
            path: the text's path.
            line: the line in the text, from 1.
            word: the word at the position, "" if unknown.

        Returns:
            The word's line and column; the start of the text if it is not a block.
        """
        start = self.locate(path)
        span = self.values.get(path)
        style = self.text[span.start] if span else ""
        if span is None or style not in ("|", ">"):
            return start
        written = self.text[span.start : span.end].split("\n")[1:]
        # Folded text has fewer lines than the file has for it: only the word shows the position.
        candidates = range(len(written)) if style == ">" else range(max(line, 1) - 1, min(max(line, 1), len(written)))
        for number in candidates:
            found = re.search(rf"(?<!\w){re.escape(word)}(?!\w)", written[number]) if word else None
            at = found.start() if found else len(written[number]) - len(written[number].lstrip())
            if found or style == "|":
                return Location(start.file, start.line + 1 + number, at + 1)
        return start

    def locate_key(self, path: DocumentPath) -> Location:
        """Return the location of a key; for a list item or the root, that of the value."""
        span = self.keys.get(path)
        return span.location if span else self.locate(path)


def shown_path(path: DocumentPath) -> str:
    """Return a path as shown in messages: ``components/worker/attributes/port``."""
    return "/".join(str(part) for part in path)


def shown_file(file: Path, root: Path | None) -> str:
    """Return a file's name as shown in messages: relative to ``root`` if it is below it."""
    if root is not None and file.is_relative_to(root):
        return file.relative_to(root).as_posix()
    return str(file)


def read_document(file: Path, display_root: Path | None = None) -> Document:
    """Read a YAML file.

    Args:
        file: the file.
        display_root: messages name the file relative to this folder.

    Raises:
        InvalidError: the file can't be read, or is not YAML of this kind; the error has the location.
    """
    name = shown_file(file, display_root)
    if display_root is not None and _leads_out(file, display_root):
        raise _refused(name, "the file is a symlink to a path outside of the workspace")
    return parse_document(read_text(file, name), name)


def read_text(file: Path, name: str) -> str:
    """Return the text of a YAML file; ``name`` is the file's name for messages.

    Raises:
        InvalidError: it is not a regular file, is too large, can't be read or is not UTF-8.
    """
    try:
        found = file.stat()
        if not stat.S_ISREG(found.st_mode):  # reading a fifo may block for ever, a device has no end
            raise _refused(name, f"a {'folder' if stat.S_ISDIR(found.st_mode) else 'device'} is here instead of a file")
        if found.st_size > LARGEST_FILE:
            raise _refused(name, f"the file is larger than {LARGEST_FILE // 1_000_000} MB")
        content = file.read_bytes()
    except OSError as error:
        raise _refused(name, f"the file can't be read: {error.strerror}") from None
    return _decoded(content, name)


def _leads_out(file: Path, root: Path) -> bool:
    # Not Path.resolve, which fails for a symlink to itself; that is reported separately.
    return file.is_symlink() and not Path(os.path.realpath(file)).is_relative_to(os.path.realpath(root))


def parse_document(text: str, name: str) -> Document:
    """Parse a document from a text; ``name`` is the file's name for messages.

    Raises:
        InvalidError: as for ``read_document``.
    """
    from dtk.dsl.yaml.parser import build  # noqa: PLC0415 - the YAML parser, 31 ms that listings need not spend

    data, values, keys = build(text, name)
    return Document(name, text, data, values, keys)


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        line = before.count("\n") + 1
        column = len(before) - (before.rfind("\n") + 1) + 1
        raise _refused(name, "the file is not UTF-8 text", line, column) from None


def _refused(name: str, message: str, line: int = 1, column: int = 1) -> InvalidError:
    return InvalidError(f"{name} can't be read", [Problem(message, Location(name, line, column))])
