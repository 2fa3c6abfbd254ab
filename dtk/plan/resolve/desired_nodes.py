"""The desired nodes of a service: single nodes and group members, with their own attributes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from dtk.dsl.check.assembly_values import NODE_TYPES
from dtk.errors import Problem
from dtk.model.json_data import Json, JsonObject
from dtk.model.module import Node
from dtk.model.names import member_name
from dtk.model.service import Service
from dtk.model.types import coerce
from dtk.plan.resolve.cardinality import CARDINALITY, MOST_MEMBERS, checked_cardinality
from dtk.plan.resolve.concurrency import MAX_IN_FLIGHT
from dtk.plan.resolve.overrides import ILLEGAL, member_numbers

_WHOLE_NUMBER = re.compile(r"^[0-9]{1,20}$")
_LONGEST_SHOWN = 20


@dataclass(frozen=True)
class DesiredNode:
    """A node that should exist, with its own desired attributes (size, image …)."""

    name: str
    declared: Node
    index: int
    cardinality: int
    attributes: Mapping[str, Json] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The group's name, "" for a plain node."""
        return self.declared.name if self.declared.is_group else ""


def members_of(declared: Node, service: Service, problems: list[Problem]) -> Iterator[DesiredNode]:
    """Yield the declared node, or each member of the group; append invalid settings to ``problems``."""
    attributes = {**declared.attributes, **_node_settings(declared.name, service, problems)}
    if not declared.is_group:
        yield DesiredNode(declared.name, declared, 0, 1, attributes)
        return
    cardinality = _cardinality(declared, service, problems)
    attributes = {name: value for name, value in attributes.items() if name not in (CARDINALITY, MAX_IN_FLIGHT)}
    for index in member_numbers(service, declared.name, cardinality):
        yield DesiredNode(member_name(declared.name, index), declared, index, cardinality, attributes)


def _node_settings(node: str, service: Service, problems: list[Problem]) -> JsonObject:
    """Return the service's settings of a node itself, converted to the types of node attributes."""
    found = {}
    for path, setting in service.attributes.items():
        owner, _, name = path.partition("/")
        if owner != node or not name or "/" in name:
            continue
        type_ = NODE_TYPES.get(name) if name not in (CARDINALITY, MAX_IN_FLIGHT) else None
        try:
            found[name] = coerce(type_, setting.value) if type_ else setting.value
        except ValueError as error:
            message = f"The provided value for '{path}' is not of type {type_}: {error}"
            fix = f"dtk set-attribute {service.name} {path} VALUE"
            problems.append(Problem(message, setting.location, path, kind=ILLEGAL, fix=fix))
    return found


def _cardinality(declared: Node, service: Service, problems: list[Problem]) -> int:
    path = f"{declared.name}/{CARDINALITY}"
    setting = service.attributes.get(path)
    number = declared.cardinality if isinstance(declared.cardinality, int) else 1
    if setting is None:
        return number
    text = str(setting.value)
    try:
        return checked_cardinality(int(text) if _WHOLE_NUMBER.match(text) else -1)
    except ValueError as error:
        fix = f"dtk set-attribute {service.name} {path} N"
        expected = f"0 to {MOST_MEMBERS}, not {text[:_LONGEST_SHOWN]}"
        problems.append(Problem(str(error), setting.location, path, expected, kind=ILLEGAL, fix=fix))
        return number
