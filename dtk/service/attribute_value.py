"""Converts a value typed on the command line to the type of its attribute."""

from __future__ import annotations

from dataclasses import replace

from dtk.dsl.build.attribute import SECRET_REFERENCE
from dtk.dsl.check.assembly_values import TEXT_OR_LIST
from dtk.errors import Problem, UsageError
from dtk.model import types
from dtk.model.json_data import Json, ReadOnlyObject, texts_in
from dtk.model.module import Attribute
from dtk.model.names import group_of
from dtk.model.service import AttributeSetting
from dtk.model.value import SHORTEST_HIDDEN
from dtk.plan.resolve.cardinality import CARDINALITY, checked_cardinality
from dtk.plan.resolve.concurrency import MAX_IN_FLIGHT, window_of
from dtk.plan.resolve.topology import Topology, build_topology, settable_paths, why_not_settable
from dtk.service.planning import Inputs


def typed_value(type_: str, path: str, value: Json, *, private: bool = False) -> object:
    """Return a typed text as a value of the attribute's type.

    Args:
        type_: the type of the attribute, or ``TEXT_OR_LIST``.
        path: the path of the attribute, for messages.
        value: the value as typed or as read from a file of values.
        private: whether to keep the value out of messages.

    Raises:
        UsageError: the value is not of that type.
    """
    if type_ == TEXT_OR_LIST:
        type_ = "array(string)" if isinstance(value, list) or str(value).startswith("[") else "string"
    try:
        return types.coerce(type_, value)
    except ValueError as error:
        detail = "(hidden)" if private else str(error)
        raise UsageError(f"The provided value for '{path}' is not of type {type_}: {detail}") from None


def typed_node_value(type_: str, path: str, value: Json) -> object:
    """Return a typed text as a value of a node's own attribute, ``NODE/NAME``.

    Raises:
        UsageError: the value is not of the attribute's type, or the number is invalid for this attribute.
    """
    attribute = path.rpartition("/")[2]
    if attribute == MAX_IN_FLIGHT:
        try:
            return window_of(str(value))
        except ValueError as error:
            raise UsageError(str(error)) from None
    typed = typed_value(type_, path, value)
    return _number(typed) if attribute == CARDINALITY and isinstance(typed, int) else typed


def _number(members: int) -> int:
    try:
        return checked_cardinality(members)
    except ValueError as error:
        raise UsageError(str(error)) from None


_REFERENCE = "write a reference: env:NAME, file:PATH, ssm:NAME or secretsmanager:NAME"


def checked_value(inputs: Inputs, path: str, value: Json) -> object:
    """Return a value converted to its attribute's type.

    Raises:
        UsageError: the path is not a settable attribute, or the value is not of its type.
    """
    assembly = inputs.modules[inputs.service.module].assemblies[inputs.service.assembly]
    topology = build_topology(inputs.service, assembly, inputs.modules)
    paths = settable_paths(topology)
    if path not in paths:
        reason, near = why_not_settable(path, topology, paths)
        raise UsageError(Problem(reason, nearest=near).description, hint=f"dtk list-attributes {inputs.service.name}")
    if any(attribute.secret and not SECRET_REFERENCE.match(str(value)) for attribute in _attributes_at(topology, path)):
        raise UsageError(f"'{path}' is secret: set it to a reference", hint=_REFERENCE)
    if path.count("/") == 1 and group_of(path.partition("/")[0]) in topology.assembly.nodes:
        return typed_node_value(paths[path], path, value)
    return typed_value(paths[path], path, value, private=_is_hidden(topology, path))


def checked_values(inputs: Inputs, settings: ReadOnlyObject) -> dict[str, object]:
    """Return values converted to their attributes' types, by path; each is checked with those before it already set.

    So a group's cardinality and the values of its new members can be set together.

    Raises:
        UsageError: as ``checked_value``.
    """
    values: dict[str, object] = {}
    for path, value in settings.items():
        values[path] = checked_value(inputs, path, value)
        setting = AttributeSetting(value, inputs.service.location)
        attributes = {**inputs.service.attributes, path: setting}
        inputs = replace(inputs, service=replace(inputs.service, attributes=attributes))
    return values


def short_hidden_values(inputs: Inputs) -> list[str]:
    """Return the paths of hidden values that are too short to be redacted from logs."""
    assembly = inputs.modules[inputs.service.module].assemblies[inputs.service.assembly]
    topology = build_topology(inputs.service, assembly, inputs.modules)
    return [
        path
        for path, setting in inputs.service.attributes.items()
        if any(len(text) < SHORTEST_HIDDEN for text in texts_in(setting.value))
        and any(attribute.hidden and not attribute.secret for attribute in _attributes_at(topology, path))
    ]


def _is_hidden(topology: Topology, path: str) -> bool:
    return any(attribute.hidden or attribute.secret for attribute in _attributes_at(topology, path))


def _attributes_at(topology: Topology, path: str) -> list[Attribute]:
    """Return the attribute of the assembly, or those of components, that a path sets."""
    if path in topology.assembly.attributes:
        return [topology.assembly.attributes[path]]
    return [
        attribute
        for instance in topology.declared
        for name, attribute in instance.component.attributes.items()
        if path in (instance.path(name), instance.declared_path(name))
    ]
