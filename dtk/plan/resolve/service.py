"""Full resolution of a service: its topology, links, values and problems."""

from __future__ import annotations

from dataclasses import dataclass

from dtk.errors import InvalidError, Problem
from dtk.model.module import Assembly
from dtk.model.service import Service
from dtk.model.suggestion import nearest
from dtk.plan.resolve.links import Binding, Link, build_bindings, build_links
from dtk.plan.resolve.node_attributes import machine_problems, value_problems
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.resolve.sensitivity import hide_what_flows
from dtk.plan.resolve.topology import Topology, build_topology, without_nodes
from dtk.plan.resolve.values import Values


@dataclass(frozen=True)
class ResolvedService:
    """A service's topology, links and values, and the problems found while resolving it.

    The values are those known from the state; the compiler replaces them by those that a plan will see.
    """

    service: Service
    topology: Topology
    links: tuple[Link, ...]
    bindings: tuple[Binding, ...]
    values: Values
    problems: tuple[Problem, ...]


def resolve_service(request: PlanRequest) -> ResolvedService:
    """Resolve a service from its files and its state, without a plan.

    Raises:
        InvalidError: the module has no such assembly.
    """
    topology = without_nodes(topology_of(request), request.before.without)
    found, unmet = build_links(topology)
    topology, links = hide_what_flows(topology, found)
    bindings = tuple(build_bindings(links))
    words = value_problems(request.target, topology, request.service)
    machines = machine_problems(request.target, topology, request.service, request.state)
    values = Values(topology, bindings, request.state, frozenset(), frozenset())
    return ResolvedService(
        request.service, topology, tuple(links), bindings, values, (*topology.problems, *words, *machines, *unmet)
    )


def topology_of(request: PlanRequest) -> Topology:
    """Expand a service's assembly, without links and values.

    Raises:
        InvalidError: the module has no such assembly.
    """
    return build_topology(request.service, _assembly(request), request.modules)


def _assembly(request: PlanRequest) -> Assembly:
    module = request.modules[request.service.module]
    try:
        return module.assemblies[request.service.assembly]
    except KeyError:
        name = request.service.assembly
        problem = Problem(
            f"module '{module.name}' has no assembly '{name}'",
            request.service.location,
            nearest=nearest(name, module.assemblies),
        )
        raise InvalidError(f"service '{request.service.name}' can't be planned", [problem]) from None
