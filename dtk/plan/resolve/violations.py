"""What must be corrected before a service can be converged, each with the command that fixes it.

Source: docs/original.md 5.8; the texts are the original's where it has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dtk.errors import Problem
from dtk.model.value import UNSET
from dtk.plan.resolve.assembly_values import FromAssembly
from dtk.plan.resolve.overrides import ILLEGAL, REQUIRED
from dtk.plan.resolve.topology import Instance, Topology, location_of
from dtk.plan.resolve.values import Values


def find_violations(topology: Topology, values: Values, service: str) -> list[Problem]:
    """Return required attributes that are unset, and values that are not of their type, in the assembly's order."""
    unset = dict.fromkeys(_required_unset(topology, values, service))
    illegal = [_illegal(topology, path, problem, service) for path, problem in values.problems.items()]
    return [*unset, *dict.fromkeys(illegal)]


def _illegal(topology: Topology, path: str, problem: Problem, service: str) -> Problem:
    """A value of the wrong type is fixed by setting it, under the path that a group's members share."""
    instances = topology.instances.values()
    paths = {i.path(name): i.declared_path(name) for i in instances for name in i.component.attributes}
    shared = paths.get(path, path)
    if problem.fix:
        return problem
    return replace(problem, path=shared, kind=ILLEGAL, fix=f"dtk set-attribute {service} {shared} VALUE")


def _required_unset(topology: Topology, values: Values, service: str) -> Iterator[Problem]:
    for instance in topology.instances.values():
        for name, attribute in instance.component.attributes.items():
            value = values.of(instance, name)
            if attribute.required and value == UNSET and instance.path(name) not in values.problems:
                path = instance.declared_path(name)
                if _is_reported(topology, instance, name):
                    continue
                yield Problem(
                    f"Attribute ({path}) is required, but unset",
                    location_of(instance),
                    kind=REQUIRED,
                    fix=f"dtk set-attribute {service} {path} VALUE",
                )


def _is_reported(topology: Topology, instance: Instance, name: str) -> bool:
    """Say whether what is missing is an attribute of the assembly, which is required itself."""
    setting, attributes = instance.settings.get(name), topology.assembly.attributes
    return isinstance(setting, FromAssembly) and any(attributes[used].required for used in setting.names)
