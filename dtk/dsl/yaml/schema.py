"""Converts JSON Schema violations to located problems in plain words."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from dtk.dsl.yaml.document import Document, shown_path
from dtk.dsl.yaml.shipped import data_folder
from dtk.dsl.yaml.span import DocumentPath
from dtk.errors import Location, Problem
from dtk.model.json_data import Json
from dtk.model.suggestion import nearest

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

_TYPE_WORDS = {
    "object": "a map",
    "array": "a list",
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Violation:
    """A violation of a schema: the path of what must change; ``at_key`` if it is the key and not its value.

    ``missing`` is the key that the map at ``path`` lacks; ``given`` the valid key that a malformed one begins with.
    """

    path: DocumentPath
    message: str
    expected: str = ""
    nearest: str = ""
    at_key: bool = False
    missing: str = ""
    given: str = ""

    def problem(self, document: Document) -> Problem:
        """Return the problem, located in the document."""
        location = document.locate_key(self.path) if self.at_key else document.locate(self.path)
        return Problem(self.message, location, shown_path(self.path), self.expected, self.nearest)


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema as data; ``module`` means schemas/module.schema.json."""
    file = data_folder("schemas") / f"{name}.schema.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def violations(data: Json, name: str) -> list[Violation]:
    """Return all violations of a schema in plain data, unordered.

    Args:
        data: the document.
        name: the schema's name, as for ``schema``.
    """
    return violations_by(_validator(name), data)


def violations_by(validator: Draft202012Validator, data: object) -> list[Violation]:
    """Return all violations of a validator's schema in plain data, unordered."""
    found = [violation for error in validator.iter_errors(data) for violation in _violations(error)]
    misspelt = {(one.path[:-1], one.nearest or one.given) for one in found if one.nearest or one.given}
    return [one for one in dict.fromkeys(found) if (one.path, one.missing) not in misspelt]


def schema_problems(data: Json, name: str, source: str) -> list[Problem]:
    """Return the problems of plain data without positions (JSON that dtk wrote).

    Args:
        data: the document.
        name: ``plan`` for schemas/plan.schema.json.
        source: the file's name, for messages.
    """
    return [
        Problem(found.message, Location(source, 1, 1), shown_path(found.path), found.expected, found.nearest)
        for found in violations(data, name)
    ]


@cache
def _validator(name: str) -> Draft202012Validator:
    return validator_of(schema(name))


def validator_of(found: Mapping[str, object]) -> Draft202012Validator:
    """Return a validator for a schema, which may refer to dtk's own: ``module.schema.json#/$defs/word``."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - 126 ms that listings need not spend
    from referencing import Registry, Resource  # noqa: PLC0415 - comes with jsonschema

    def retrieve(uri: str) -> object:
        return Resource.from_contents(schema(uri.removesuffix(".schema.json")))

    return Draft202012Validator(found, registry=Registry(retrieve=retrieve))  # type: ignore[call-arg]


@dataclass(frozen=True)
class _Break:
    """A jsonschema error: the invalid value, its schema, the violated keyword and the message."""

    instance: Any
    schema: Mapping[str, Any]
    keyword: str
    message: str


def _violations(error: ValidationError) -> Iterator[Violation]:
    """Convert a jsonschema error to descriptions of what must change."""
    keyword = str(error.validator)
    teller = _name if "propertyNames" in error.absolute_schema_path else _TELLERS.get(keyword, _value)
    schema_map = error.schema if isinstance(error.schema, Mapping) else {}
    yield from teller(_Break(error.instance, schema_map, keyword, error.message), tuple(error.absolute_path))


def _value(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    near = nearest(str(error.instance), error.schema.get("examples", ()))
    yield Violation(path, f"invalid value {shown(error.instance)}", expected_by(error.schema), near)


def _type(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    if error.instance is None:
        yield Violation(path, "no value is given", expected_by(error.schema), at_key=True)
    else:
        yield Violation(path, f"{shown(error.instance)} has the wrong type", expected_by(error.schema))


def _enum(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    choices = [str(choice) for choice in error.schema["enum"]]
    near = nearest(str(error.instance), choices)
    yield Violation(path, f"invalid value {shown(error.instance)}", listed(choices), near)


def _unknown_keys(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    for key in error.instance:
        if key not in known and not any(re.search(pattern, key) for pattern in patterns):
            word = key.partition(" ")[0]
            if word != key and word in known:
                message = f"the ': ' after '{key}' makes this a map"
                expected = f"quotes around the whole text, or {word}: | and the text on the next line"
                yield Violation((*path, key), message, expected, at_key=True, given=word)
                continue
            near = nearest(key, [name for name in known if name not in error.instance])
            expected = listed(list(known))
            if error.instance[key] is None and not near:
                expected += "; a text that contains a comma must be in quotes between { and }"
            yield Violation((*path, key), f"unknown key '{key}'", expected, near, at_key=True)


def _missing(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    # jsonschema reports one error per missing key, but only its message says which key.
    for key in error.schema["required"]:
        if key not in error.instance and error.message.startswith(repr(key)):
            yield Violation(path, f"'{key}' is missing", at_key=True, missing=key)


def _name(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    key = str(error.instance)
    yield Violation((*path, key), f"'{key}' is not a valid name here", expected_by(error.schema), at_key=True)


def _one_of(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    keys = [key for branch in error.schema["oneOf"] for key in branch.get("required", ())]
    given = [key for key in keys if key in error.instance]
    if given:
        yield Violation(path, f"{' and '.join(given)} can't be used together", "one of them", at_key=True)
    else:
        yield Violation(path, f"{listed(keys)} is missing", at_key=True)


def _few(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    yield Violation(path, "it is empty", expected_by(error.schema), at_key=True)


def _many(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    keys = ", ".join(f"'{key}'" for key in error.instance)
    yield Violation(path, f"only one key is allowed here, but there are {keys}", expected_by(error.schema), at_key=True)


def _bound(error: _Break, path: DocumentPath) -> Iterator[Violation]:
    expected = expected_by(error.schema)
    for word, limit in (("minimum", "or more"), ("exclusiveMinimum", "at least, and not that"), ("maximum", "at most")):
        if not error.schema.get("errorMessage") and word == error.keyword:
            expected = f"{error.schema[word]} {limit}"
    yield Violation(path, f"{shown(error.instance)} is out of range", expected)


_TELLERS = {
    "type": _type,
    "enum": _enum,
    "additionalProperties": _unknown_keys,
    "required": _missing,
    "oneOf": _one_of,
    "minItems": _few,
    "minLength": _few,
    "minProperties": _few,
    "maxProperties": _many,
    "minimum": _bound,
    "exclusiveMinimum": _bound,
    "maximum": _bound,
}


def expected_by(definition: Mapping[str, Any]) -> str:
    """Return what a schema expects, in words: its own ``errorMessage``, else its type."""
    if "errorMessage" in definition:
        return str(definition["errorMessage"]).removeprefix("expected ")
    types = definition.get("type", ())
    names = [types] if isinstance(types, str) else types
    return listed([_TYPE_WORDS[name] for name in names])


def listed(words: Iterable[str]) -> str:
    """Return words as alternatives: ``a, b or c``."""
    *first, last = list(words) or [""]
    return f"{', '.join(first)} or {last}" if first else last


def shown(value: Json) -> str:
    """Return a value shortened and quoted for messages."""
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = " ".join(str(value).split())
    text = text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
    return f"'{text}'" if isinstance(value, str) else text
