"""Dataclasses to JSON and back: one codec for every document that dtk writes and reads.

A field's key in the document is its own name (``if_`` becomes ``if``), in the order of its class. A field that
equals its default is left out, unless the document always writes it.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar, Union, cast

from dtk.model.json_data import Json, JsonObject
from dtk.model.json_text import RepeatedObject
from dtk.model.value import Template, Value
from dtk.model.value_document import value_document, value_of

T = TypeVar("T")
Reader = Callable[[Json], object]

_REQUIRED = object()


class MalformedError(ValueError):
    """A document has the wrong structure: ``path`` says where (``nodes.master.status``), ``what`` says how."""

    def __init__(self, what: str, path: str = "") -> None:
        super().__init__(f"{path} {what}" if path else f"it {what}")
        self.what = what
        self.path = path

    def inside(self, name: str) -> MalformedError:
        """Return the error with its path relative to the enclosing part."""
        return MalformedError(self.what, f"{name}.{self.path}" if self.path else name)


@dataclass(frozen=True, slots=True)
class _FieldRule:
    """How to write and read one field; ``default`` is ``_REQUIRED`` if the class defines none."""

    name: str
    key: str
    default: object
    always: bool
    given: bool
    read: Reader


class Codec:
    """Writes and reads the classes of one document and caches the rules derived from their types.

    ``always`` names, by class, the fields to write even when they equal their default. ``repeated`` lists classes whose
    instances occur in many places: each instance is serialized once, and the same object is used in every place.
    """

    def __init__(self, always: Mapping[type, Collection[str]], repeated: tuple[type, ...] = ()) -> None:
        self._always = always
        self._repeated = repeated
        self._rules: dict[type, tuple[_FieldRule, ...]] = {}

    def document(self, instance: object) -> JsonObject:
        """Return an instance of a dataclass as a JSON object."""
        return self._document(instance, {})

    def _document(self, instance: object, written: dict[int, JsonObject]) -> JsonObject:
        """Serialize an instance; ``written`` holds the repeated objects already serialized, by identity."""
        # Keyed by identity: comparing instances by value would cost more than serializing them again.
        if id(instance) in written:
            return written[id(instance)]
        found: JsonObject = {}
        for rule in self._rules_of(type(instance)):
            value = getattr(instance, rule.name)
            # Leave defaults out: people read plans of thousands of steps, and most fields hold their default.
            if rule.always or value != rule.default:
                found[rule.key] = self._written(value, written)
        if isinstance(instance, self._repeated):
            found = written[id(instance)] = RepeatedObject(found)
        return found

    def _written(self, value: object, written: dict[int, JsonObject]) -> Json:
        if value is None or isinstance(value, (str, int, float)):
            return value
        if isinstance(value, (list, tuple)):
            return [self._written(item, written) for item in value]
        if isinstance(value, Mapping):
            return {key: self._written(item, written) for key, item in value.items()}
        return value_document(value) if isinstance(value, Value) else self._document(value, written)

    def part(self, value: object) -> Json:
        """Return the value of a field as JSON, even if it equals the default."""
        return self._written(value, {})

    def changed(self, instance: T, document: JsonObject) -> T:
        """Return a copy of an instance, changed by a JSON object; maps are merged by key.

        Raises:
            MalformedError: a field is unknown or of the wrong kind, or a map has a key that the instance lacks.
        """
        rules = {rule.key: rule for rule in self._rules_of(type(instance)) if rule.given}
        if unknown := sorted(document.keys() - rules.keys()):
            raise MalformedError(f"has {', '.join(unknown)}, unknown to this version of dtk")
        found: dict[str, Any] = {}
        for key, part in document.items():
            rule = rules[key]
            found[rule.name] = _read(rule, part)
            before = getattr(instance, rule.name)
            if isinstance(before, Mapping):
                if unknown := sorted(found[rule.name].keys() - before.keys()):
                    raise MalformedError(f"changes {', '.join(unknown)}, which the original does not have", key)
                found[rule.name] = {**before, **found[rule.name]}
        return cast(T, replace(cast(Any, instance), **found))

    def instance(self, cls: type[T], document: Json) -> T:
        """Return the dataclass instance that a JSON object represents.

        Raises:
            MalformedError: something is missing, unknown or of the wrong kind.
        """
        if not isinstance(document, dict):
            raise MalformedError("is not an object")
        rules = self._rules_of(cls)
        for rule in rules:
            if rule.default is _REQUIRED and rule.key not in document:
                raise MalformedError(f"has no {rule.key}")
        found = {rule.name: _read(rule, document[rule.key]) for rule in rules if rule.key in document}
        # Read strictly: an unknown field might say that something must not be done.
        if len(found) != len(document):
            unknown = ", ".join(sorted(document.keys() - {rule.key for rule in rules}))
            raise MalformedError(f"has {unknown}, unknown to this version of dtk")
        return cls(**{rule.name: found[rule.name] for rule in rules if rule.given and rule.name in found})

    def _rules_of(self, cls: type) -> tuple[_FieldRule, ...]:
        if cls not in self._rules:
            # Not typing.get_type_hints: it would expand Json, which is recursive.
            hints = inspect.get_annotations(cls, eval_str=True)
            always = self._always.get(cls, ())
            self._rules[cls] = tuple(
                _FieldRule(
                    f.name,
                    f.name.rstrip("_"),
                    _default(f),
                    f.name in always or not f.init,
                    f.init,
                    self._reader(hints[f.name]),
                )
                for f in fields(cls)
            )
        return self._rules[cls]

    def _reader(self, hint: object) -> Reader:
        """Return the function that reads part of a document as a type."""
        if isinstance(hint, Hashable) and hint in _READERS:
            return _READERS[hint]
        if isinstance(hint, type) and is_dataclass(hint):
            # Resolve the class's rules lazily, on first use: a class may contain itself.
            return partial(self.instance, hint)
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (Union, types.UnionType):
            return self._union_reader(arguments)
        if origin is Mapping:
            return partial(_mapping, self._reader(arguments[1]))
        if origin in (tuple, Sequence):
            return partial(_sequence, self._reader(arguments[0]))
        return partial(_one_of, arguments) if origin is Literal else partial(_scalar, hint)

    def _union_reader(self, alternatives: Sequence[object]) -> Reader:
        kinds = {str(one.kind): self._reader(one) for one in alternatives if hasattr(one, "kind")}
        if len(kinds) == len(alternatives):
            return partial(_of_kind, kinds)
        return partial(_first_fitting, [self._reader(one) for one in alternatives])


def _default(field: Field[object]) -> object:
    if field.default_factory is not MISSING:
        return field.default_factory()
    return _REQUIRED if field.default is MISSING else field.default


def _read(rule: _FieldRule, document: Json) -> object:
    try:
        return rule.read(document)
    except MalformedError as error:
        raise error.inside(rule.key) from None
    except ValueError as error:
        raise MalformedError(f"can't be read: {error}", rule.key) from None


def _template(document: Json) -> Template:
    value = value_of(document)
    if isinstance(value, Template):
        return value
    raise MalformedError("is not a template")


def _one_of(allowed: Collection[object], document: Json) -> Json:
    if document in allowed:
        return document
    raise MalformedError(f"is not one of {', '.join(map(str, allowed))}")


def _mapping(read: Reader, document: Json) -> dict[str, object]:
    if not isinstance(document, dict):
        raise MalformedError("is not an object")
    found: dict[str, object] = {}
    for key, item in document.items():
        try:
            found[key] = read(item)
        except MalformedError as error:
            raise error.inside(key) from None
    return found


def _sequence(read: Reader, document: Json) -> tuple[object, ...]:
    if not isinstance(document, list):
        raise MalformedError("is not a list")
    return tuple(map(read, document))


def _of_kind(readers: Mapping[str, Reader], document: Json) -> object:
    kind = document.get("kind") if isinstance(document, dict) else None
    if isinstance(kind, str) and kind in readers:
        return readers[kind](document)
    raise MalformedError(f"has a kind other than {', '.join(readers)}")


def _first_fitting(readers: Sequence[Reader], document: Json) -> object:
    for read in readers:
        with suppress(MalformedError):
            return read(document)
    raise MalformedError("has the wrong type")


def _scalar(type_: object, document: Json) -> Json:
    # A float may be written without a fraction; true is not a number.
    accepted = (int, float) if type_ is float else type_ or types.NoneType
    is_flag = isinstance(document, bool)
    if isinstance(accepted, (type, tuple)) and isinstance(document, accepted) and is_flag == (type_ is bool):
        return document
    raise MalformedError("has the wrong type")


_READERS: Mapping[Hashable, Reader] = {
    **dict.fromkeys((Json, object), lambda document: document),
    Value: value_of,
    Template: _template,
}
