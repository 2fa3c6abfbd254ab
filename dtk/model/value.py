"""Values of a plan: known data, and typed placeholders that a step or a secret fills later.

A value without placeholders is always a single ``Known``, however nested its data is: ``map_of``, ``list_of`` and
``joined`` ensure it. So equal values are equal objects, and the type shows whether a value is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from dtk.model import types
from dtk.model.json_data import Json

KNOWN_AFTER_APPLY = "(known after apply)"
SECRET_SHOWN = "(secret)"  # noqa: S105 - what is shown instead of one
SHORTEST_HIDDEN = 4
"""Minimum length of a hidden value to be masked in logs; secrets are masked whatever their length.

Masking "1", for example, would remove every 1 from the logs.
"""


@dataclass(frozen=True, slots=True)
class Known:
    """Plain data; None is the value of an unset attribute."""

    data: Json


@dataclass(frozen=True, slots=True)
class Reference:
    """An attribute that an earlier step produces, ``master/dask::scheduler/address``, and its type."""

    path: str
    type: str


@dataclass(frozen=True, slots=True)
class Secret:
    """A reference to a secret, ``env:NAME``; resolved only on its way to the node and never written."""

    reference: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text that waits for its values; ``shell`` means that they are quoted for a shell command."""

    text: str
    shell: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a hash by key, or of a list by index from 0."""

    of: Value
    key: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A value converted to the type of the attribute that it flows to."""

    type: str
    of: Value


@dataclass(frozen=True, slots=True)
class JoinedText:
    """Pieces concatenated to one text."""

    pieces: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of whole numbers; an unset one counts as 0."""

    pieces: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class JoinedLists:
    """Lists concatenated to one."""

    pieces: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ValueList:
    """A list with at least one item that is not known."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ValueMap:
    """A hash with at least one item that is not known."""

    items: Mapping[str, Value]


Open: TypeAlias = Reference | Secret | Template
"""The placeholders in a value."""

Value: TypeAlias = (
    Known | Reference | Secret | Template | Element | Typed | JoinedText | Sum | JoinedLists | ValueList | ValueMap
)

UNSET = Known(None)


def map_of(items: Mapping[str, Value]) -> Known | ValueMap:
    """Return a hash of values as one value."""
    data: dict[str, Json] = {}
    for key, item in items.items():
        if not isinstance(item, Known):
            return ValueMap(dict(items))
        data[key] = item.data
    return Known(data)


def list_of(items: Iterable[Value]) -> Known | ValueList:
    """Return a list of values as one value."""
    given = tuple(items)
    data = [item.data for item in given if isinstance(item, Known)]
    return Known(data) if len(data) == len(given) else ValueList(given)


def joined(lists: Iterable[Value]) -> Value:
    """Return the concatenation of lists; earlier steps may produce some of them."""
    pieces: list[Value] = []
    run: list[Value] = []

    def end_run() -> None:
        if run:
            pieces.append(list_of(run))
            run.clear()

    for one in lists:
        items = _items(one)
        if items is None:
            end_run()
            pieces.append(one)
        else:
            run.extend(items)
    end_run()
    if not pieces:
        return Known([])
    return pieces[0] if len(pieces) == 1 else JoinedLists(tuple(pieces))


def _items(value: Value) -> Iterable[Value] | None:
    """Return the items of a list that is available now, None for any other value."""
    if isinstance(value, ValueList):
        return value.items
    if isinstance(value, Known) and isinstance(value.data, list):
        return map(Known, value.data)
    return None


def _parts(value: Value) -> tuple[Value, ...]:
    """Return the direct parts of a value; none for an atomic one."""
    if isinstance(value, (Element, Typed)):
        return (value.of,)
    if isinstance(value, (JoinedText, Sum, JoinedLists)):
        return value.pieces
    if isinstance(value, ValueMap):
        return tuple(value.items.values())
    return value.items if isinstance(value, ValueList) else ()


def _open_parts(value: Value) -> Iterator[Open]:
    """Yield every placeholder, in the order written."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, (Reference, Secret, Template)):
            yield one
        else:
            rest.extend(reversed(_parts(one)))


def references(value: Value) -> Iterator[str]:
    """Yield the attribute paths that a value waits for."""
    return (part.path for part in _open_parts(value) if isinstance(part, Reference))


def is_known(value: Value) -> bool:
    """Return whether a value needs no earlier step; a secret counts as known."""
    return isinstance(value, Known) or next(references(value), None) is None


def holds_secret(value: Value) -> bool:
    """Return whether a value contains a secret reference."""
    return not isinstance(value, Known) and any(isinstance(part, Secret) for part in _open_parts(value))


def secrets_in(value: Value) -> Iterator[str]:
    """Yield the secret references in a value."""
    return (part.reference for part in _open_parts(value) if isinstance(part, Secret))


def plain(value: Value) -> Json:
    """Return the data of a known value without secrets.

    Raises:
        ValueError: the value is not known yet, or holds a secret.
    """
    if isinstance(value, Known):
        return value.data
    raise ValueError("it is known only during apply")


def element(data: Json, key: str) -> Json:
    """Return an element of a hash by key, or of a list by index from 0; None if there is none."""
    if isinstance(data, list):
        return data[int(key)] if key.isdigit() and int(key) < len(data) else None
    return data.get(key) if isinstance(data, dict) else None


def evaluate(value: Value, fill: Callable[[Open], Json]) -> Json:
    """Return the data that a value evaluates to.

    Args:
        value: a value of a plan.
        fill: returns the data for a placeholder.

    Raises:
        ValueError: a value does not have the type of the attribute that it flows to.
    """
    if isinstance(value, Known):
        return value.data
    if isinstance(value, (Reference, Secret, Template)):
        return fill(value)
    if isinstance(value, ValueMap):
        return {key: evaluate(item, fill) for key, item in value.items.items()}
    return _put_together(value, [evaluate(part, fill) for part in _parts(value)])


def _put_together(value: Value, parts: list[Json]) -> Json:
    """Return the data of a value, given the data of its parts."""
    if isinstance(value, Element):
        return element(parts[0], value.key)
    if isinstance(value, Typed):
        return None if parts[0] is None else types.coerce(value.type, parts[0])
    if isinstance(value, JoinedText):
        return _text_of(parts)
    if isinstance(value, Sum):
        return sum(int(str(part)) for part in parts if part is not None)
    return _list_of(parts) if isinstance(value, JoinedLists) else parts


def _text_of(pieces: list[Json]) -> str | None:
    # An embedded variable without a value yields no value at all (docs/original.md 4.3).
    return None if None in pieces else "".join(str(piece) for piece in pieces)


def _list_of(pieces: list[Json]) -> list[Json]:
    # A list that its step did not produce contributes nothing.
    return [item for piece in pieces if isinstance(piece, list) for item in piece]


def as_applied(value: Value, lookup: Callable[[str], Json]) -> Value:
    """Return a planned value with everything known filled in, still as a value of a plan.

    It is written to the state, and the next plan compares with it; secrets stay references.
    """
    if is_known(value):
        return value
    # All of it is known now; as plain data it compares equal to the value in the next plan.
    if not holds_secret(value):
        return Known(evaluate(value, lambda part: _looked_up(part, lookup)))

    if isinstance(value, ValueMap):
        return map_of({key: as_applied(item, lookup) for key, item in value.items.items()})
    return _rebuilt(value, [as_applied(part, lookup) for part in _parts(value)])


def _rebuilt(value: Value, parts: list[Value]) -> Value:
    """Return a value of the same kind with new parts."""
    if isinstance(value, Element):
        return Element(parts[0], value.key)
    if isinstance(value, Typed):
        return Typed(value.type, parts[0])
    if isinstance(value, (JoinedText, Sum)):
        return type(value)(tuple(parts))
    if isinstance(value, JoinedLists):
        return joined(Known([]) if part == UNSET else part for part in parts)
    return list_of(parts)


def _looked_up(part: Open, lookup: Callable[[str], Json]) -> Json:
    if isinstance(part, Reference):
        return lookup(part.path)
    # Secrets were handled above, and templates are rendered before an action counts as applied.
    raise AssertionError(f"{part} is not allowed here: only attributes of earlier steps are")


def shown(value: Value) -> Json:
    """Return a value for display: placeholders replaced by words."""
    if isinstance(value, Known):
        return value.data
    if isinstance(value, Secret):
        return SECRET_SHOWN
    if isinstance(value, ValueMap):
        return {key: shown(item) for key, item in value.items.items()}
    return [shown(item) for item in value.items] if isinstance(value, ValueList) else KNOWN_AFTER_APPLY
