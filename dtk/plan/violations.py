"""What must be corrected before a service can be converged, each with the command that mends it.

Source: original-dtk.md 3.9; the texts are the original's where it has one.
"""

from __future__ import annotations

from collections.abc import Iterator

from dtk.errors import Problem
from dtk.plan.topology import Topology, location_of
from dtk.plan.values import Values


def find_violations(topology: Topology, values: Values, service: str) -> list[Problem]:
    """Return required attributes that are unset, and values that are not of their type, in the assembly's order."""
    unset = dict.fromkeys(_required_unset(topology, values, service))
    return [*unset, *dict.fromkeys(values.problems.values())]


def _required_unset(topology: Topology, values: Values, service: str) -> Iterator[Problem]:
    for instance in topology.instances.values():
        for name, attribute in instance.component.attributes.items():
            value = values.of(instance, name)
            if attribute.required and value is None and instance.path(name) not in values.problems:
                path = instance.declared_path(name)
                yield Problem(
                    f"Attribute ({path}) is required, but unset",
                    location_of(instance),
                    expected=f"dtk set-attribute {service} {path} VALUE",
                )
