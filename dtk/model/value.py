"""Values of a plan: data that is known, and typed parts that stand for data until a step or a secret gives it.

A value that holds no such part is always one ``Known``, however nested its data is: ``map_of``, ``list_of`` and
``joined`` see to it. So equal values are equal objects, and "is it known" is a question of its type.
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
"""Characters of a hidden value that is kept out of logs; a secret is, whatever its length.

In logs without "1", say, every 1 would be missing.
"""


@dataclass(frozen=True, slots=True)
class Known:
    """Plain data; None is the value of an attribute that has none."""

    data: Json


@dataclass(frozen=True, slots=True)
class Reference:
    """An attribute that an earlier step produces, ``master/dask::scheduler/address``, and its type."""

    path: str
    type: str


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is kept, ``env:NAME``; it is resolved on its way to the node and never written."""

    reference: str


@dataclass(frozen=True, slots=True)
class Template:
    """A text that waits for its values; ``shell`` says that they are quoted for a shell command."""

    text: str
    shell: bool = False


@dataclass(frozen=True, slots=True)
class Element:
    """What a hash has under a key, or a list at a number from 0."""

    of: Value
    key: str


@dataclass(frozen=True, slots=True)
class Typed:
    """A value taken as the type of the attribute that it flows to."""

    type: str
    of: Value


@dataclass(frozen=True, slots=True)
class JoinedText:
    """Pieces put together to one text."""

    pieces: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Sum:
    """Whole numbers added up; one that is not set counts as 0."""

    pieces: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class JoinedLists:
    """Lists put together to one."""

    pieces: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ValueList:
    """A list with something in it that is not known."""

    items: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class ValueMap:
    """A hash with something in it that is not known."""

    items: Mapping[str, Value]


Open: TypeAlias = Reference | Secret | Template
"""The parts of a value that something else has to fill."""

Value: TypeAlias = (
    Known | Reference | Secret | Template | Element | Typed | JoinedText | Sum | JoinedLists | ValueList | ValueMap
)

UNSET = Known(None)


def map_of(items: Mapping[str, Value]) -> Known | ValueMap:
    """Return a hash of values."""
    data: dict[str, Json] = {}
    for key, item in items.items():
        if not isinstance(item, Known):
            return ValueMap(dict(items))
        data[key] = item.data
    return Known(data)


def list_of(items: Iterable[Value]) -> Known | ValueList:
    """Return a list of values."""
    given = tuple(items)
    data = [item.data for item in given if isinstance(item, Known)]
    return Known(data) if len(data) == len(given) else ValueList(given)


def joined(lists: Iterable[Value]) -> Value:
    """Return lists, some of which an earlier step may give, as one."""
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
    """Return the items of a list that is at hand, None for any other value."""
    if isinstance(value, ValueList):
        return value.items
    if isinstance(value, Known) and isinstance(value.data, list):
        return map(Known, value.data)
    return None


def _parts(value: Value) -> tuple[Value, ...]:
    """Return what a value is made of; nothing for one that is not made of others."""
    if isinstance(value, (Element, Typed)):
        return (value.of,)
    if isinstance(value, (JoinedText, Sum, JoinedLists)):
        return value.pieces
    if isinstance(value, ValueMap):
        return tuple(value.items.values())
    return value.items if isinstance(value, ValueList) else ()


def _open_parts(value: Value) -> Iterator[Open]:
    """Yield every part that is to be filled, in the order written."""
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
    """Say whether a value needs no earlier step; a secret counts as known."""
    return isinstance(value, Known) or next(references(value), None) is None


def holds_secret(value: Value) -> bool:
    """Say whether a secret's reference is anywhere in a value."""
    return not isinstance(value, Known) and any(isinstance(part, Secret) for part in _open_parts(value))


def secrets_in(value: Value) -> Iterator[str]:
    """Yield the references to secrets that a value holds."""
    return (part.reference for part in _open_parts(value) if isinstance(part, Secret))


def plain(value: Value) -> Json:
    """Return the data of a known value without secrets.

    Raises:
        ValueError: it is not one.
    """
    if isinstance(value, Known):
        return value.data
    raise ValueError("it is known only when it reaches the node")


def element(data: Json, key: str) -> Json:
    """Return what a hash has under a key, or a list at a number from 0; None when there is no such thing."""
    if isinstance(data, list):
        return data[int(key)] if key.isdigit() and int(key) < len(data) else None
    return data.get(key) if isinstance(data, dict) else None


def evaluate(value: Value, fill: Callable[[Open], Json]) -> Json:
    """Return the data that a value stands for.

    Args:
        value: a value of a plan.
        fill: gives the data of a part that is not known.

    Raises:
        ValueError: a value is not of the type that what it flows to has.
    """
    if isinstance(value, Known):
        return value.data
    if isinstance(value, (Reference, Secret, Template)):
        return fill(value)
    if isinstance(value, ValueMap):
        return {key: evaluate(item, fill) for key, item in value.items.items()}
    return _put_together(value, [evaluate(part, fill) for part in _parts(value)])


def _put_together(value: Value, parts: list[Json]) -> Json:
    """Return the data of a value from the data of its parts."""
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
    # A list that its step did not give has nothing to add.
    return [item for piece in pieces if isinstance(piece, list) for item in piece]


def as_applied(value: Value, lookup: Callable[[str], Json]) -> Value:
    """Return a planned value with everything known filled in, still a value of a plan.

    It is what the next plan compares with, and goes into the state: secrets stay references.
    """
    if is_known(value):
        return value
    # All of it is known now: as plain data it compares equal to what the next plan works out.
    if not holds_secret(value):
        return Known(evaluate(value, lambda part: _looked_up(part, lookup)))

    if isinstance(value, ValueMap):
        return map_of({key: as_applied(item, lookup) for key, item in value.items.items()})
    return _rebuilt(value, [as_applied(part, lookup) for part in _parts(value)])


def _rebuilt(value: Value, parts: list[Value]) -> Value:
    """Return a value of the same kind with other parts."""
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
    # Secrets were sorted out above, and templates are rendered before an action counts as applied.
    raise AssertionError(f"{part} where only attributes of earlier steps can be")


def shown(value: Value) -> Json:
    """Return a value for people: parts that are not known replaced by words."""
    if isinstance(value, Known):
        return value.data
    if isinstance(value, Secret):
        return SECRET_SHOWN
    if isinstance(value, ValueMap):
        return {key: shown(item) for key, item in value.items.items()}
    return [shown(item) for item in value.items] if isinstance(value, ValueList) else KNOWN_AFTER_APPLY
