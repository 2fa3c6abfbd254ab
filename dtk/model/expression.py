"""Values of a plan: known ones as JSON, others as typed references that an earlier step will fill.

A value is plain JSON, in which these one-key maps stand for what is not known yet::

    {"$reference": {"path": "master/dask::scheduler/address", "type": "string"}}
    {"$text": ["tcp://", {"$reference": …}, ":8786"]}         pieces joined to one text
    {"$key": {"of": {"$reference": …}, "key": "spark_version"}}
    {"$typed": {"type": "port", "of": {"$reference": …}}}      taken as the type of what it flows to
    {"$joined": [[1, 2], {"$reference": …}]}                   lists joined to one
    {"$secret": "env:NAME"}                                    resolved on the way to the node, never written
    {"$literal": {"$text": "really this map"}}                 a map that would look like one of these
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dtk.model import types

MARKS = ("$reference", "$text", "$key", "$typed", "$joined", "$secret", "$literal")
KNOWN_AFTER_APPLY = "(known after apply)"
SECRET_SHOWN = "(secret)"  # noqa: S105 - what is shown instead of one


def reference(path: str, type_: str) -> dict[str, Any]:
    """Return a typed reference to an attribute that an earlier step produces."""
    return {"$reference": {"path": path, "type": type_}}


def literal(value: Any) -> Any:
    """Return a plain JSON value so that it is taken as it is, even if it looks like a mark."""
    if isinstance(value, dict):
        plain = {key: literal(item) for key, item in value.items()}
        return {"$literal": plain} if _mark(value) else plain
    return [literal(item) for item in value] if isinstance(value, list) else value


def _mark(value: Any) -> str:
    if isinstance(value, dict) and len(value) == 1:
        (key,) = value
        return key if key in MARKS else ""
    return ""


def references(value: Any) -> Iterator[str]:
    """Yield the attribute paths that a value waits for."""
    mark = _mark(value)
    if mark == "$reference":
        yield value[mark]["path"]
    elif mark in ("$key", "$typed"):
        yield from references(value[mark]["of"])
    elif mark in ("$secret", "$literal"):
        return
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def element(value: Any, key: str) -> Any:
    """Return what a hash has under a key, or a list at a number from 0; None when there is no such thing."""
    if isinstance(value, list):
        return value[int(key)] if key.isdigit() and int(key) < len(value) else None
    return value.get(key) if isinstance(value, dict) else None


def is_known(value: Any) -> bool:
    """Say whether a value needs no earlier step; a secret counts as known."""
    return next(references(value), None) is None


def holds_secret(value: Any) -> bool:
    """Say whether a secret's reference is anywhere in a value."""
    if isinstance(value, dict):
        return _mark(value) == "$secret" or any(holds_secret(item) for item in value.values())
    return isinstance(value, list) and any(holds_secret(item) for item in value)


def plain(value: Any) -> Any:
    """Return the JSON that a known value without secrets stands for."""
    if isinstance(value, dict):
        return value["$literal"] if _mark(value) == "$literal" else {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def joined(lists: Iterable[Any]) -> Any:
    """Return lists, some of which an earlier step may give, as one."""
    pieces: list[Any] = []
    for item in lists:
        if isinstance(item, list) and pieces and isinstance(pieces[-1], list):
            pieces[-1] = [*pieces[-1], *item]
        else:
            pieces.append(item)
    return pieces[0] if len(pieces) == 1 else {"$joined": pieces}


def evaluate(value: Any, lookup: Callable[[str], Any], secret: Callable[[str], str]) -> Any:
    """Return the plain JSON that a value stands for.

    Args:
        value: a value of a plan.
        lookup: gives the present value of an attribute path; raises KeyError when it has none.
        secret: resolves a secret's reference.

    Raises:
        ValueError: a value is not of the type that what it flows to has.
    """

    def inner(item: Any) -> Any:
        return evaluate(item, lookup, secret)

    mark = _mark(value)
    if mark:
        return _evaluate_mark(mark, value[mark], inner, lookup, secret)
    if isinstance(value, dict):
        return {key: inner(item) for key, item in value.items()}
    return [inner(item) for item in value] if isinstance(value, list) else value


def _evaluate_mark(
    mark: str,
    body: Any,
    inner: Callable[[Any], Any],
    lookup: Callable[[str], Any],
    secret: Callable[[str], str],
) -> Any:
    if mark == "$reference":
        return lookup(body["path"])
    if mark == "$secret":
        return secret(body)
    if mark == "$key":
        return element(inner(body["of"]), body["key"])
    if mark == "$typed":
        value = inner(body["of"])
        return None if value is None else types.coerce(body["type"], value)
    if mark in ("$text", "$joined"):
        pieces = [inner(piece) for piece in body]
        return _text_of(pieces) if mark == "$text" else _list_of(pieces)
    return body


def _text_of(pieces: list[Any]) -> str | None:
    # An embedded variable without a value yields no value at all (docs/original.md 4.3).
    return None if None in pieces else "".join(str(piece) for piece in pieces)


def _list_of(pieces: list[Any]) -> list[Any]:
    # A list that its step did not give has nothing to add.
    return [item for piece in pieces for item in piece or ()]


def as_applied(value: Any, lookup: Callable[[str], Any]) -> Any:
    """Return a planned value with everything known filled in, still a value of a plan.

    It is what the next plan compares with, and goes into the state: secrets stay references.
    """
    if is_known(value):
        return value
    if not holds_secret(value):
        return literal(evaluate(value, lookup, _no_secret))
    if _mark(value) == "$text":
        return {"$text": [as_applied(piece, lookup) for piece in value["$text"]]}
    if _mark(value) == "$joined":
        return joined(as_applied(piece, lookup) or [] for piece in value["$joined"])
    if isinstance(value, dict):
        return {key: as_applied(item, lookup) for key, item in value.items()}
    return [as_applied(item, lookup) for item in value]


def _no_secret(reference: str) -> str:
    raise AssertionError(f"a secret ({reference}) where none can be")


def shown(value: Any) -> Any:
    """Return a value for people: marks replaced by words."""
    mark = _mark(value)
    if mark == "$secret":
        return SECRET_SHOWN
    if mark == "$literal":
        return value[mark]
    if mark:
        return KNOWN_AFTER_APPLY
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    return [shown(item) for item in value] if isinstance(value, list) else value
