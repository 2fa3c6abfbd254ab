"""What a machine is made with: a node's own attributes, and the ports that its components declare."""

from __future__ import annotations

from typing import Any

from dtk.model.expression import is_known, plain
from dtk.model.target import Target
from dtk.plan.values import Values

PORTS = "ports"


def machine_attributes(target: Target, values: Values, node: str) -> dict[str, Any]:
    """Return a node's attributes as its target takes them.

    Args:
        target: only a target that keeps a firewall (ec2) is told the ports.
        values: the components' attributes as planned; a port that is not known yet is left out.
        node: its name.
    """
    attributes = dict(values.topology.nodes[node].attributes)
    ports = [port for port in declared_ports(values, node) if port is not None] if target.type == "ec2" else []
    return {**attributes, PORTS: ports} if ports else attributes


def declared_ports(values: Values, node: str) -> list[int | None]:
    """Return the ports that a node's components declare; None for each that is known only after apply."""
    found: set[int] = set()
    unknown: list[int | None] = []
    for instance in values.topology.on_node(node):
        for attribute in instance.component.attributes.values():
            if attribute.type == "port":
                value = values.of(instance, attribute.name)
                if value is not None and is_known(value):
                    found.add(int(plain(value)))
                elif value is not None:
                    unknown.append(None)
    return [*sorted(found), *unknown]
