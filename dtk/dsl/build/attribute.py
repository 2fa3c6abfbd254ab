"""Builds attributes and parameters from their declarations: flags, and a default of the declared type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import Problem
from dtk.model.module import Attribute
from dtk.model.types import coerce

SECRET_REFERENCE = re.compile(r"^(env|file|ssm|secretsmanager):\S+$")
"""The form of a secret reference (docs/module-language.md)."""

# Words with another meaning in templates.
_RESERVED_ATTRIBUTES = frozenset(
    ["node", "dtk", "true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else"]
)


def build_parameters(cursor: Cursor, problems: list[Problem]) -> dict[str, Attribute]:
    """Build the declared ``parameters``; one without a default is required unless it says otherwise."""
    return {entry.name: _parameter(entry, problems) for entry in cursor.entries("parameters")}


def _parameter(cursor: Cursor, problems: list[Problem]) -> Attribute:
    if cursor.value is None:
        return Attribute(cursor.name, cursor.key_location, required=True)
    built = build_attribute(cursor, problems)
    return built if cursor.get("required") else replace(built, required=not built.has_default)


def build_attribute(cursor: Cursor, problems: list[Problem]) -> Attribute:
    """Build the attribute declared at a position in a document; its default is converted to the declared type."""
    default = cursor.get("default")
    attribute = Attribute(
        name=cursor.name,
        location=cursor.key_location,
        type=cursor.text("type", "string"),
        default=None if default is None else default.value,
        has_default=default is not None,
        required=cursor.flag("required"),
        dynamic=cursor.flag("dynamic"),
        hidden=cursor.flag("hidden"),
        constant=cursor.flag("constant"),
        secret=cursor.flag("secret"),
        description=cursor.text("description"),
        input=cursor.flag("input"),
        internal=cursor.flag("internal"),
    )
    problems += _attribute_problems(cursor, attribute)
    return attribute if default is None else _with_default(cursor, default, attribute, problems)


def _attribute_problems(cursor: Cursor, attribute: Attribute) -> Iterator[Problem]:
    if attribute.name in _RESERVED_ATTRIBUTES:
        yield cursor.key_problem(f"an attribute cannot be named '{attribute.name}': the name is reserved in templates")
    if attribute.constant and not attribute.has_default and cursor.get("default") is None and not cursor.is_partial:
        yield cursor.key_problem(f"constant '{attribute.name}' has no default, so it never has a value")
    if attribute.constant and attribute.dynamic:
        yield cursor.key_problem(f"'{attribute.name}' can't be both constant and dynamic")
    if attribute.input and not attribute.dynamic:
        yield cursor.key_problem(f"'{attribute.name}' can be set anyway: input is only for dynamic attributes")
    if attribute.secret and attribute.dynamic:
        yield cursor.key_problem(
            f"'{attribute.name}' cannot be both secret and dynamic: dynamic values are stored in the state"
        )


def _with_default(cursor: Cursor, default: Cursor, attribute: Attribute, problems: list[Problem]) -> Attribute:
    if attribute.default is None:
        return attribute
    if attribute.secret and not SECRET_REFERENCE.match(str(attribute.default)):
        # The text may be the secret itself, so don't show it.
        message = f"the default of secret '{attribute.name}' is not a reference"
        references = "env:NAME, file:PATH, ssm:NAME or secretsmanager:NAME"
        problems.append(default.problem(message, expected=references, private=True))
        return attribute
    if attribute.secret:
        return replace(attribute, default=str(attribute.default))
    try:
        return replace(attribute, default=coerce(attribute.type, attribute.default))
    except (KeyError, ValueError) as error:
        detail = "" if attribute.hidden else f": {error}"
        if cursor.get("type") is not None or "type" not in cursor.value:
            problems.append(
                default.problem(
                    f"Attribute ({attribute.name}) has a default of the wrong type ({attribute.type}){detail}",
                    private=attribute.hidden,
                )
            )
        return attribute
