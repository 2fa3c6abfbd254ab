"""What must be corrected before a service can be converged, each with the command that fixes it.

Source: docs/original.md 5.8; the texts are the original's where it has one.
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
    """Return required attributes that are unset, and values that are not of their type, in the assembly's order."""
    unset = dict.fromkeys(_required_unset(topology, values, service))
    places = _places(topology) if values.problems else {}
    illegal = [_illegal(places, values, path, problem, service) for path, problem in values.problems.items()]
    return [*unset, *dict.fromkeys(illegal)]


def unplannable(service: str, problems: Sequence[Problem]) -> InvalidError:
    """Return the error of a service with violations: what is wrong before what to do about it."""
    return InvalidError(f"service '{service}' can't be planned", problems, hint=way_to_fix(service, problems))


def way_to_fix(service: str, problems: Sequence[Problem]) -> str:
    """Return what to do about violations: answer questions where only values are missing, else go through the list."""
    if all(problem.kind == REQUIRED for problem in problems):
        return f"dtk set-required-attributes {service} asks for what is unset"
    return f"dtk list-violations {service} lists what is to be fixed"


_Places = Mapping[str, tuple[Instance, str]]
"""Each attribute by its path: whose it is, and its name."""


def _places(topology: Topology) -> _Places:
    instances = topology.instances.values()
    return {instance.path(name): (instance, name) for instance in instances for name in instance.component.attributes}


def _illegal(places: _Places, values: Values, path: str, problem: Problem, service: str) -> Problem:
    """A value of the wrong type is fixed by setting it where it comes from, under the path that members share."""
    if problem.fix:
        return problem
    if path not in places:
        return replace(problem, path=path, kind=ILLEGAL, fix=f"dtk set-attribute {service} {path} VALUE")
    instance, name = places[path]
    giver, given = values.origin(instance, name)
    shared = giver.declared_path(given)
    comes = "" if shared == instance.declared_path(name) else f" (a link brings it from '{shared}')"
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
    """Say whether what is missing is an attribute of the assembly, which is required itself."""
    setting, attributes = instance.settings.get(name), topology.assembly.attributes
    return isinstance(setting, FromAssembly) and any(attributes[used].required for used in setting.names)
