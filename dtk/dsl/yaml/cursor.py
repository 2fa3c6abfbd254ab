"""A cursor to a position in a document; it hides everything that the schema refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dtk.dsl.yaml.document import Document, shown_path
from dtk.dsl.yaml.span import DocumentPath
from dtk.errors import Location, Problem


@dataclass(frozen=True)
class Cursor:
    """A value in a document. ``broken`` are the paths that the schema refused; the cursor hides them."""

    document: Document
    broken: frozenset[DocumentPath] = frozenset()
    path: DocumentPath = ()

    @property
    def value(self) -> Any:
        """The plain data at this position."""
        value = self.document.data
        for part in self.path:
            value = value[part]
        return value

    @property
    def name(self) -> str:
        """The value's key."""
        return str(self.path[-1])

    @property
    def location(self) -> Location:
        """The location of the value."""
        return self.document.locate(self.path)

    @property
    def key_location(self) -> Location:
        """The location of the key; for list items, that of the value."""
        return self.document.locate_key(self.path)

    @property
    def is_partial(self) -> bool:
        """Whether the schema refused a key or a value directly below, so that names may be missing."""
        return any(path[:-1] == self.path for path in self.broken if path)

    def get(self, *keys: str) -> Cursor | None:
        """Return a cursor to the first of the keys that exists, None if there is none."""
        value = self.value
        for key in keys:
            path = (*self.path, key)
            if isinstance(value, dict) and key in value and path not in self.broken:
                return Cursor(self.document, self.broken, path)
        return None

    def entries(self, *keys: str) -> Iterator[Cursor]:
        """Yield the entries of the map or the items of the list below ``keys``; nothing if there is none."""
        inner: Cursor | None = self
        for key in keys:
            inner = inner.get(key) if inner else None
        value = inner.value if inner else None
        names: Iterable[str | int] = value if isinstance(value, dict) else ()
        if isinstance(value, list):
            names = range(len(value))
        for name in names:
            path = (*inner.path, name) if inner else ()
            if path not in self.broken:
                yield Cursor(self.document, self.broken, path)

    def text(self, key: str, default: str = "") -> str:
        """Return the text of a key as written; ``default`` if it is not set."""
        found = self.get(key)
        return default if found is None or found.value is None else str(found.value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return the boolean value of a key."""
        found = self.get(key)
        return default if found is None else bool(found.value)

    def problem(self, message: str, *, expected: str = "", near: str = "", private: bool = False) -> Problem:
        """Return a problem with the value; ``private`` means that the text must not be shown."""
        return Problem(message, self.location, shown_path(self.path), expected, near, private=private)

    def problem_inside(self, message: str, line: int, word: str = "", *, expected: str = "", near: str = "") -> Problem:
        """Return a problem within a text: ``line`` counts from 1 in it, ``word`` is the text at that position."""
        location = self.document.locate_inside(self.path, line, word)
        return Problem(message, location, shown_path(self.path), expected, near)

    def key_problem(self, message: str, *, expected: str = "", near: str = "") -> Problem:
        """Return a problem with the key."""
        return Problem(message, self.key_location, shown_path(self.path), expected, near)
