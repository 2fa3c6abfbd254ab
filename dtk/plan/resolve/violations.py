"""Violations: what must be corrected before a service can be converged, each with the command that fixes it.

Source: docs/original.md 5.8; the messages are the original's where it has one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from dtk.errors import InvalidError, Problem
from dtk.model.value import UNSET
from dtk.plan.resolve.assembly_values import FromAssembly
from dtk.plan.resolve.overrides import ILLEGAL, REQUIRED
from dtk.plan.resolve.topology import Instance, Topology, location_of
from dtk.plan.resolve.values import Values


def find_violations(topology: Topology, values: Values, service: str) -> list[Problem]:
    """Return unset required attributes and values of the wrong type, in the assembly's order."""
    unset = dict.fromkeys(_required_unset(topology, values, service))
    places = _places(topology) if values.problems else {}
    illegal = [_illegal(places, values, path, problem, service) for path, problem in values.problems.items()]
    return [*unset, *dict.fromkeys(illegal)]


def unplannable(service: str, problems: Sequence[Problem]) -> InvalidError:
    """Return the error for a service with violations: the problems, with a hint on how to fix them."""
    return InvalidError(f"service '{service}' can't be planned", problems, hint=way_to_fix(service, problems))


def way_to_fix(service: str, problems: Sequence[Problem]) -> str:
    """Return how to fix violations: the interactive command if only required values are missing, else the list."""
    if all(problem.kind == REQUIRED for problem in problems):
        return f"dtk set-required-attributes {service} asks for the missing values"
    return f"dtk list-violations {service} lists the violations to fix"


_Places = Mapping[str, tuple[Instance, str]]
"""The instance and attribute name of each attribute path."""


def _places(topology: Topology) -> _Places:
    instances = topology.instances.values()
    return {instance.path(name): (instance, name) for instance in instances for name in instance.component.attributes}


def _illegal(places: _Places, values: Values, path: str, problem: Problem, service: str) -> Problem:
    """Complete a problem of a wrong value: the fix sets the value at its origin, under the path that members share."""
    if problem.fix:
        return problem
    if path not in places:
        return replace(problem, path=path, kind=ILLEGAL, fix=f"dtk set-attribute {service} {path} VALUE")
    instance, name = places[path]
    giver, given = values.origin(instance, name)
    shared = giver.declared_path(given)
    comes = "" if shared == instance.declared_path(name) else f" (a link passes it from '{shared}')"
    fix = f"dtk set-attribute {service} {shared} VALUE"
    return replace(problem, message=f"{problem.message}{comes}", path=shared, kind=ILLEGAL, fix=fix)


def _required_unset(topology: Topology, values: Values, service: str) -> Iterator[Problem]:
    for instance in topology.instances.values():
        for name, attribute in instance.component.attributes.items():
            value = values.of(instance, name)
            if attribute.required and value == UNSET and instance.path(name) not in values.problems:
                if _is_reported(topology, instance, name):
                    continue
                giver, given = values.origin(instance, name)
                path, own = giver.declared_path(given), instance.declared_path(name)
                needed = "" if path == own else f"; '{own}' gets its value from it"
                if given in giver.component.attributes and giver.component.attributes[given].required:
                    needed = ""
                yield Problem(
                    f"Attribute ({path}) is required, but unset{needed}",
                    location_of(giver),
                    kind=REQUIRED,
                    fix=f"dtk set-attribute {service} {path} VALUE",
                )


def _is_reported(topology: Topology, instance: Instance, name: str) -> bool:
    """Return whether the missing value comes from a required attribute of the assembly, which is reported itself."""
    setting, attributes = instance.settings.get(name), topology.assembly.attributes
    return isinstance(setting, FromAssembly) and any(attributes[used].required for used in setting.names)
