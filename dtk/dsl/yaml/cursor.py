"""A place in a document that walks down to its parts, leaving out what the schema refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from dtk.dsl.yaml.document import Document, shown_path
from dtk.dsl.yaml.span import DocumentPath
from dtk.errors import Location, Problem


@dataclass(frozen=True)
class Cursor:
    """A value in a document. ``broken`` are the paths that the schema refused: to this they are not there."""

    document: Document
    broken: frozenset[DocumentPath] = frozenset()
    path: DocumentPath = ()

    @property
    def value(self) -> Any:
        """The plain data at this place."""
        value = self.document.data
        for part in self.path:
            value = value[part]
        return value

    @property
    def name(self) -> str:
        """The key under which the value stands."""
        return str(self.path[-1])

    @property
    def location(self) -> Location:
        """Where the value is written."""
        return self.document.locate(self.path)

    @property
    def key_location(self) -> Location:
        """Where the key is written; where the value is, for items of lists."""
        return self.document.locate_key(self.path)

    @property
    def is_partial(self) -> bool:
        """Whether the schema refused a key or a value right here, so that names may be missing below."""
        return any(path[:-1] == self.path for path in self.broken if path)

    def get(self, *keys: str) -> Cursor | None:
        """Return the first of the keys that is there."""
        value = self.value
        for key in keys:
            path = (*self.path, key)
            if isinstance(value, dict) and key in value and path not in self.broken:
                return Cursor(self.document, self.broken, path)
        return None

    def entries(self, *keys: str) -> Iterator[Cursor]:
        """Yield the entries of the map, or the items of the list, below ``keys``; nothing where there is none."""
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
        """Return the text below a key as it is written; ``default`` where there is none."""
        found = self.get(key)
        return default if found is None or found.value is None else str(found.value)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return the truth below a key."""
        found = self.get(key)
        return default if found is None else bool(found.value)

    def problem(self, message: str, *, expected: str = "", near: str = "", private: bool = False) -> Problem:
        """Return a problem with the value; ``private``: what is written there may be shown to nobody."""
        return Problem(message, self.location, shown_path(self.path), expected, near, private=private)

    def problem_inside(self, message: str, line: int, word: str = "", *, expected: str = "", near: str = "") -> Problem:
        """Return a problem with a part of a text: ``line`` counts in it from 1, ``word`` is what stands there."""
        location = self.document.locate_inside(self.path, line, word)
        return Problem(message, location, shown_path(self.path), expected, near)

    def key_problem(self, message: str, *, expected: str = "", near: str = "") -> Problem:
        """Return a problem with the key."""
        return Problem(message, self.key_location, shown_path(self.path), expected, near)
