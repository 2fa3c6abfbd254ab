"""A map in a document of the original; each of its keys must be converted or noted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dtk.dsl.yaml.cursor import Cursor
from dtk.dsl.yaml.document import shown_path
from dtk.errors import Location
from dtk.model.json_data import Json
from dtk.model.written import as_written


@dataclass(frozen=True, order=True)
class Note:
    """A difference from the original: its location and an explanation."""

    location: Location
    path: str
    message: str

    def __str__(self) -> str:
        at = f" (at {self.path})" if self.path else ""
        return f"{self.location}: {self.message}{at}"


@dataclass
class Notes:
    """Collects what can't be converted."""

    notes: list[Note] = field(default_factory=list)

    def add(self, cursor: Cursor, message: str) -> None:
        """Add a note about the value that a cursor points to."""
        self.notes.append(Note(cursor.key_location, shown_path(cursor.path), message))

    def in_order(self) -> list[Note]:
        """Return all notes without duplicates, in file order."""
        return sorted(set(self.notes))


class Section:
    """A map; ``close`` adds a note for every key that was not taken."""

    def __init__(self, cursor: Cursor, notes: Notes) -> None:
        self.cursor = cursor
        self.notes = notes
        self._taken: set[str] = set()

    def take(self, *keys: str) -> Cursor | None:
        """Return the value of the first existing key, and mark the key as converted."""
        found = None
        for key in keys:
            there = self.cursor.get(key)
            if there is not None and found is None:
                self._taken.add(key)
                found = there
        return found

    def text(self, *keys: str) -> str:
        """Return a value as text; "" if there is none."""
        found = self.take(*keys)
        return "" if found is None or found.value is None else str(found.value)

    def value(self, *keys: str) -> Json:
        """Return a value as plain data; None if there is none."""
        found = self.take(*keys)
        return None if found is None else as_written(found.value)

    def entries(self, *keys: str) -> Iterator[Cursor]:
        """Yield the entries below the first existing key."""
        found = self.take(*keys)
        if found is not None:
            yield from found.entries()

    def leave(self, key: str, why: str) -> None:
        """Note that a known key has no counterpart."""
        found = self.take(key)
        if found is not None:
            self.notes.add(found, why)

    def close(self) -> None:
        """Note the keys that were not taken."""
        for entry in self.cursor.entries():
            if entry.name not in self._taken:
                self.notes.add(entry, f"'{entry.name}' has no counterpart and is left out")


def names(cursor: Cursor | None) -> list[tuple[str, Cursor, Cursor | None]]:
    """Return the items of a map, a list of names or a list of one-key maps: name, position, body.

    ``- a``, ``- a: {…}`` and ``a: {…}`` are equivalent in the original.
    """
    found: list[tuple[str, Cursor, Cursor | None]] = []
    if cursor is None:
        return found
    if isinstance(cursor.value, str):
        return [(cursor.value, cursor, None)]
    for entry in cursor.entries():
        if isinstance(cursor.value, dict):
            found.append((entry.name, entry, entry if isinstance(entry.value, (dict, list)) else None))
        elif isinstance(entry.value, dict):
            for inner in entry.entries():
                found.append((inner.name, inner, inner if isinstance(inner.value, (dict, list)) else None))
        else:
            found.append((str(entry.value), entry, None))
    return found


def as_entries(cursor: Cursor | None) -> list[Cursor]:
    """Return the items of a list; a single value is treated as a list with one item."""
    if cursor is None or cursor.value is None:
        return []
    return list(cursor.entries()) if isinstance(cursor.value, list) else [cursor]


def type_name(text: str) -> str:
    """Return a component's type in dtk's form; the original also writes ``mod__cmp``."""
    return text.replace("__", "::", 1) if "::" not in text else text
