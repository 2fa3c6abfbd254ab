"""Parameters of workflows and actions: ``{{name}}`` in a workflow's terms, values of the declared type.

Source: docs/original.md 4.4 and 4.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dtk.model.json_data import Json, JsonObject, ReadOnlyObject
from dtk.model.module import Attribute
from dtk.model.types import coerce

_VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")


def variables_in(text: str) -> list[str]:
    """Return the parameters that a workflow's term uses, in order."""
    return _VARIABLE.findall(text)


def filled_in(text: str, values: ReadOnlyObject) -> str:
    """Return a workflow's term with its parameters replaced by their values.

    Raises:
        ValueError: a parameter has no value; the message is the original's.
    """
    missing = next((name for name in variables_in(text) if values.get(name) is None), "")
    if missing:
        raise ValueError(f"The variable '{missing}' in the following workflow term is not set: {text}")
    return _VARIABLE.sub(lambda match: _text(values[match[1]]), text)


def replaced(text: str, values: Mapping[str, str]) -> str:
    """Return a workflow's term with those parameters replaced that are among the values."""
    return _VARIABLE.sub(lambda match: values.get(match[1], match[0]), text)


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def typed_parameters(declared: Mapping[str, Attribute], given: ReadOnlyObject) -> JsonObject:
    """Return the values of declared parameters, converted to their types; undeclared ones are left out.

    Args:
        declared: the parameters by name.
        given: the values from a command line or a workflow.

    Raises:
        ValueError: a required parameter is missing, or a value has the wrong type; the messages are the original's.
    """
    values: JsonObject = {}
    for name, parameter in declared.items():
        if name in given:
            values[name] = _typed(parameter, given[name])
        elif parameter.required:
            raise ValueError(f"Parameter '{name}' is not set")
        else:
            values[name] = parameter.default
    return values


def _typed(parameter: Attribute, value: Json) -> Json:
    try:
        return coerce(parameter.type, value)
    except ValueError as error:
        reason = "" if parameter.hidden else f": {error}"
        raise ValueError(
            f"The provided value for parameter '{parameter.name}' is not of type {parameter.type}{reason}"
        ) from None
