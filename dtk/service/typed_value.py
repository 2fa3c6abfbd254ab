"""A value as it is typed on the command line, made into what its attribute takes."""

from __future__ import annotations

from dtk.dsl.check.assembly_values import TEXT_OR_LIST
from dtk.errors import UsageError
from dtk.model import types
from dtk.plan.resolve.assembly_values import CARDINALITY, checked_cardinality
from dtk.plan.resolve.concurrency import MAX_IN_FLIGHT, window_of


def typed_value(type_: str, path: str, value: str, *, private: bool = False) -> object:
    """Return a typed word as its attribute's type.

    Args:
        type_: the attribute's, ``TEXT_OR_LIST`` included.
        path: the attribute's, for messages.
        value: what was typed.
        private: the value stands in no message.

    Raises:
        UsageError: it is not of that type.
    """
    if type_ == TEXT_OR_LIST:
        type_ = "array(string)" if value.startswith("[") else "string"
    try:
        return types.coerce(type_, value)
    except ValueError as error:
        said = "(hidden)" if private else str(error)
        raise UsageError(f"The provided value for '{path}' is not of type {type_}: {said}") from None


def typed_node_value(type_: str, path: str, value: str) -> object:
    """Return a typed word as a node's own attribute, ``NODE/NAME``, takes it.

    Raises:
        UsageError: it is not of its type, or no number that makes sense there.
    """
    attribute = path.rpartition("/")[2]
    if attribute == MAX_IN_FLIGHT:
        try:
            return window_of(value)
        except ValueError as error:
            raise UsageError(str(error)) from None
    typed = typed_value(type_, path, value)
    return _number(typed) if attribute == CARDINALITY and isinstance(typed, int) else typed


def _number(members: int) -> int:
    try:
        return checked_cardinality(members)
    except ValueError as error:
        raise UsageError(str(error)) from None
