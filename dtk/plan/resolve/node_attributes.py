"""The attributes to request a machine with: its node's attributes in the target's terms, and its components' ports."""

from __future__ import annotations

from collections.abc import Iterator

from dtk.errors import Location, Problem
from dtk.model.module import Node
from dtk.model.names import group_of
from dtk.model.service import Service
from dtk.model.suggestion import nearest
from dtk.model.target import Target, WrongValue
from dtk.model.value import UNSET, Known
from dtk.plan.resolve.cardinality import CARDINALITY
from dtk.plan.resolve.overrides import CONSTRAINT, ILLEGAL
from dtk.plan.resolve.topology import Topology
from dtk.plan.resolve.values import Values
from dtk.state.model import State

PORTS = "ports"


def machine_attributes(target: Target, values: Values, node: str) -> dict[str, object]:
    """Return a node's attributes in the form its target expects.

    Args:
        target: supplies defaults; if it manages a firewall, the ports are added.
        values: the components' attributes as planned; ports that are not known yet are left out.
        node: the node's name.
    """
    attributes = dict(target.description.machine_attributes(target, values.topology.nodes[node].attributes))
    if target.description.firewall_sources(target) is None:
        return attributes
    ports = [port for port in declared_ports(values, node) if port is not None]
    return {**attributes, PORTS: ports} if ports else attributes


def value_problems(target: Target, topology: Topology, service: Service) -> Iterator[Problem]:
    """Yield a problem for each value of a node attribute that the target can't use, at its source location."""
    declared = {desired.declared.name: desired for desired in topology.nodes.values()}
    for desired in declared.values():
        for wrong in target.description.wrong_values(target, desired.attributes):
            yield _problem(wrong, desired.declared, target, topology, service)


def machine_problems(target: Target, topology: Topology, service: Service, state: State) -> Iterator[Problem]:
    """Yield a problem for each node or group with too few machines in the target, located at its cardinality."""
    held = {name: state.nodes[name].id for name in topology.nodes if name in state.nodes}
    short: dict[str, list[str]] = {}
    for node in target.description.nodes_without_machine(target, list(topology.nodes), held):
        short.setdefault(group_of(node), []).append(node)
    for name, missing in short.items():
        declared = topology.nodes[missing[0]].declared
        path = f"{name}/{CARDINALITY}"
        location, _ = _where(path, CARDINALITY, declared, topology, service)
        members = sum(group_of(node) == name for node in topology.nodes)
        more = f" and {len(missing) - 1} more of its members" if len(missing) > 1 else ""
        fix = f"dtk set-attribute {service.name} {path} {members - len(missing)}" if declared.is_group else ""
        expected = f"more hosts in target '{target.name}' (dtk.yaml), or fewer nodes"
        message = f"target '{target.name}' has no machine left for {missing[0]}{more}"
        yield Problem(message, location, path if fix else "", expected, kind=CONSTRAINT, fix=fix)


def _problem(wrong: WrongValue, node: Node, target: Target, topology: Topology, service: Service) -> Problem:
    path = f"{node.name}/{wrong.attribute}"
    location, fix = _where(path, wrong.attribute, node, topology, service)
    near = nearest(wrong.word, wrong.known)
    return Problem(wrong.message(target.name), location, path, wrong.expected, nearest=near, kind=ILLEGAL, fix=fix)


def _where(path: str, name: str, node: Node, topology: Topology, service: Service) -> tuple[Location, str]:
    """Return where a node's attribute gets its value, and the command that changes it."""
    if path not in service.attributes and path in topology.given:
        return topology.given[path].location, topology.given[path].fix
    written = (
        service.attributes[path].location if path in service.attributes else node.locations.get(name, node.location)
    )
    return written, f"dtk set-attribute {service.name} {path} VALUE"


def declared_ports(values: Values, node: str) -> list[int | None]:
    """Return the ports that a node's components declare; None for each that is known only after apply."""
    found: set[int] = set()
    unknown: list[int | None] = []
    for instance in values.topology.on_node(node):
        for attribute in instance.component.attributes.values():
            if attribute.type == "port":
                value = values.of(instance, attribute.name)
                if isinstance(value, Known) and isinstance(value.data, int):
                    found.add(value.data)
                elif value != UNSET:
                    unknown.append(None)
    return [*sorted(found), *unknown]
