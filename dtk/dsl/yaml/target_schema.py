"""The schema of a target's settings: its type's own schema, made strict; and the combined schemas for editors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING

from dtk.dsl.yaml.schema import Violation, schema, validator_of, violations_by
from dtk.errors import InvalidError
from dtk.model.target import TargetDescription

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def setting_violations(settings: object, description: TargetDescription) -> list[Violation]:
    """Return all violations of a target's settings, including ``type``, unordered.

    Raises:
        InvalidError: the target type's own schema is invalid.
    """
    return violations_by(_validator(description), settings)


def settings_schema(description: TargetDescription) -> dict[str, object]:
    """Return the schema for targets of this type: its own, with ``type`` added and unknown keys refused.

    Raises:
        InvalidError: the file can't be read, or is not a JSON object.
    """
    file = description.settings_schema
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _unusable(description, str(error)) from None
    if not isinstance(found, dict):
        raise _unusable(description, "it is not a JSON object")
    own_key = {"description": f"{description.type}: {description.summary}.", "const": description.type}
    return {
        "$schema": _DIALECT,
        "description": description.summary,
        **found,
        "type": "object",
        "properties": {"type": own_key, **found.get("properties", {})},
        "required": ["type", *found.get("required", ())],
        "additionalProperties": False,
    }


def editor_schemas(descriptions: Iterator[TargetDescription]) -> Mapping[str, dict[str, object]]:
    """Return dtk.yaml's schema with these target types, and the schema of each, by file name."""
    schemas = {f"target.{one.type}.schema.json": settings_schema(one) for one in descriptions}
    types = [name.split(".")[1] for name in schemas]
    workspace = deepcopy(schema("workspace"))
    target = workspace["$defs"]["target"]
    target["properties"]["type"]["enum"] = types
    target["allOf"] = [
        {
            "if": {"properties": {"type": {"const": type_}}, "required": ["type"]},
            "then": {"$ref": f"target.{type_}.schema.json"},
        }
        for type_ in types
    ]
    return {"workspace.schema.json": workspace, **schemas}


@cache
def _validator(description: TargetDescription) -> Draft202012Validator:
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415 - slow to import

    found = settings_schema(description)
    try:
        Draft202012Validator.check_schema(found)
    except SchemaError as error:
        raise _unusable(description, error.message) from None
    return validator_of(found)


def _unusable(description: TargetDescription, reason: str) -> InvalidError:
    message = f"the settings of target type '{description.type}' can't be checked"
    return InvalidError(f"{message}: {description.settings_schema}: {reason}")
