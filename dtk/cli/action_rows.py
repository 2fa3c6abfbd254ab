"""What ``dtk exec`` can run, as rows for listings and completion."""

from __future__ import annotations

from collections.abc import Iterator

from dtk.model.names import CREATE, DELETE, component_path, group_of
from dtk.plan.resolve.service import ResolvedService
from dtk.plan.resolve.topology import Instance
from dtk.views.plan_entries import members_text

FEW_MEMBERS = 2
"""Groups with up to this many members are listed member by member (docs/original.md 3.2)."""


def action_rows(found: ResolvedService) -> list[tuple[str, str]]:
    """Return the name and type of every action: the service's workflows, then the components' actions by name."""
    workflows = dict.fromkeys([CREATE, *found.topology.assembly.workflows])
    components = sorted({row for instance in found.topology.instances.values() for row in _actions(found, instance)})
    return [*((name, "service") for name in workflows), *components]


def _actions(found: ResolvedService, instance: Instance) -> Iterator[tuple[str, str]]:
    component = component_path(_shown_node(found, instance), str(instance.name))
    yield component, "component_create"
    for action in instance.component.actions:
        if action not in (CREATE, DELETE):
            yield f"{component}.{action}", "component_action"


def _shown_node(found: ResolvedService, instance: Instance) -> str:
    group = group_of(instance.node)
    members = [node for node, planned in found.topology.nodes.items() if planned.group == group]
    if len(members) <= FEW_MEMBERS:
        return instance.node
    return members_text(members)
