"""Mappings that know which of their keys were edited, so that a change is found without comparing all entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

T = TypeVar("T")


class Edited(dict[str, T]):
    """A copy of a mapping with edits. It is never changed itself: a further edit makes another copy.

    ``base`` is the mapping before the first edit, None once the edits are recorded; ``keys_edited`` are the keys that
    may differ from it.
    """

    __slots__ = ("base", "keys_edited")

    def __init__(self, before: Mapping[str, T], keys: Iterable[str]) -> None:
        """Copy a mapping whose ``keys`` are about to be edited."""
        super().__init__(before)
        edits = before if isinstance(before, Edited) and before.base is not None else None
        self.base: Mapping[str, T] | None = edits.base if edits is not None else before
        self.keys_edited: tuple[str, ...] = tuple(
            dict.fromkeys((*(edits.keys_edited if edits is not None else ()), *keys))
        )


def with_items(mapping: Mapping[str, T], items: Mapping[str, T]) -> Mapping[str, T]:
    """Return a mapping with items added or replaced."""
    edited = Edited(mapping, items)
    edited.update(items)
    return edited


def without(mapping: Mapping[str, T], key: str) -> Mapping[str, T]:
    """Return a mapping without a key."""
    edited = Edited(mapping, (key,))
    edited.pop(key, None)
    return edited


def keys_that_may_differ(before: Mapping[str, T], after: Mapping[str, T]) -> Iterable[str]:
    """Return the keys of two mappings that may differ: all keys of both, unless it is known which were edited."""
    if before is after:
        return ()
    if isinstance(after, Edited) and after.base is before:
        return after.keys_edited
    return {**after, **before}


def settle(mapping: Mapping[str, T]) -> None:
    """Forget the edits that made a mapping, once they are recorded: the next ones are relative to it."""
    if isinstance(mapping, Edited):
        mapping.base, mapping.keys_edited = None, ()
