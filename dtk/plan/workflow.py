"""A workflow's stages over a topology: which component actions run where, in which order.

Source: original-dtk.md 2.3, 3.2 and 3.3. A stage without a node runs wherever its components are; groups come before
single nodes inside a stage; components added to the service get a stage of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dtk.errors import Problem
from dtk.model.module import Subtask, Workflow, WorkflowItem
from dtk.model.names import ASSEMBLY_WIDE, group_of, node_order
from dtk.plan.links import Link
from dtk.plan.topology import Instance, Topology

CREATE = "create"
DELETE = "delete"
SCALE_DOWN = "scale_down"
"""The workflow that runs, on nodes that stay, before members of a group go."""


@dataclass(frozen=True)
class StagedAction:
    """One action of one instance."""

    instance: Instance
    action: str

    @property
    def key(self) -> str:
        """The name an action's success is remembered by in state: ``slaves:1 dask::worker.create``."""
        return f"{self.instance.node} {self.instance.name}.{self.action}"


@dataclass(frozen=True)
class StageOutline:
    """A stage before it gets its number: for each node, in the order of the table, what runs there."""

    name: str
    per_node: tuple[tuple[str, tuple[StagedAction, ...]], ...]
    max_in_flight: int | str | None = None

    def actions(self) -> list[StagedAction]:
        """Return the stage's actions, node by node."""
        return [action for _, actions in self.per_node for action in actions]


def expand_workflow(topology: Topology, workflow: Workflow, links: Sequence[Link]) -> list[StageOutline]:
    """Unfold a written workflow over the topology's nodes, with the stages of added components in their place.

    A subtask that matches nothing gives no stage here: that it does is refused when the module is validated, except
    where a service's own changes made it so, which is fine.
    """
    stages = [_expand(topology, subtask) for subtask in workflow.subtasks]
    stages = [stage for stage in stages if stage.per_node]
    if workflow.name != CREATE:
        return stages
    return _with_added(topology, stages, links)


def _expand(topology: Topology, subtask: Subtask) -> StageOutline:
    per_node = [(node, _actions_on(topology, node, subtask)) for node in stage_order(topology)]
    return StageOutline(subtask.name, tuple(entry for entry in per_node if entry[1]), subtask.max_in_flight)


def stage_order(topology: Topology) -> list[str]:
    """Return the nodes in the order of a stage's rows: assembly-wide, members of groups, single nodes."""
    names = sorted(topology.nodes, key=lambda name: (not topology.nodes[name].group, *node_order(name)))
    return [ASSEMBLY_WIDE, *names]


def _actions_on(topology: Topology, node: str, subtask: Subtask) -> tuple[StagedAction, ...]:
    if subtask.node and subtask.node not in (node, group_of(node)):
        return ()
    present = topology.on_node(node)
    return tuple(
        StagedAction(instance, item.action)
        for item in subtask.items
        for instance in present
        if _matches(item, instance)
    )


def _matches(item: WorkflowItem, instance: Instance) -> bool:
    same_type = item.component.type == instance.name.type
    return same_type and item.component.title in ("", instance.name.title)


def _with_added(topology: Topology, stages: list[StageOutline], links: Sequence[Link]) -> list[StageOutline]:
    """Place each component that people added: before the first stage that depends on it, else at the end."""
    staged = {action.instance.key for stage in stages for action in stage.actions() if action.action == CREATE}
    missing = [instance for instance in topology.instances.values() if instance.added and instance.key not in staged]
    for name in dict.fromkeys(str(instance.name) for instance in missing):
        instances = [instance for instance in missing if str(instance.name) == name]
        position = _first_dependent(stages, {instance.key for instance in instances}, links)
        stages = [*stages[:position], _own_stage(topology, f"component {name}", instances), *stages[position:]]
    return stages


def _first_dependent(stages: list[StageOutline], keys: set[tuple[str, str]], links: Sequence[Link]) -> int:
    dependents = {link.base.key for link in links if keys & {target.key for target in link.targets}}
    for position, stage in enumerate(stages):
        if dependents & {action.instance.key for action in stage.actions()}:
            return position
    return len(stages)


def _own_stage(topology: Topology, name: str, instances: Iterable[Instance]) -> StageOutline:
    by_node = {instance.node: (StagedAction(instance, CREATE),) for instance in instances}
    return StageOutline(name, tuple((node, by_node[node]) for node in stage_order(topology) if node in by_node))


def generate_workflow(topology: Topology, links: Sequence[Link]) -> tuple[list[StageOutline], list[Problem]]:
    """Derive stages from links and same-node dependencies where the assembly has no create workflow.

    Source: original-dtk.md 3.2. Repeatedly, all components whose predecessors are done form a stage.

    Returns:
        The stages, and a problem when the components wait for one another in a circle.
    """
    waiting = {instance.key: _predecessors(instance, topology, links) for instance in topology.instances.values()}
    ready_sets: list[list[Instance]] = []
    while waiting:
        ready = [key for key, before in waiting.items() if not before & set(waiting)]
        if not ready:
            names = ", ".join(sorted({name for _, name in waiting}))
            return [], [Problem(f"Loop detected in temporal orders: {names} wait for one another")]
        ready_sets.append([topology.instances[key] for key in ready])
        waiting = {key: before for key, before in waiting.items() if key not in ready}
    return [_generated_stage(topology, ready_sets, index) for index in range(len(ready_sets))], []


def _predecessors(instance: Instance, topology: Topology, links: Sequence[Link]) -> set[tuple[str, str]]:
    needed = {dependency.component for dependency in instance.component.dependencies}
    before = {other.key for other in topology.on_node(instance.node) if other.name.type in needed}
    for link in links:
        flows_in = any(mapping.destination.side == "base" for mapping in link.definition.mappings)
        flows_out = any(mapping.destination.side == "dependency" for mapping in link.definition.mappings)
        if link.base.key == instance.key and (flows_in or not flows_out):
            before |= {target.key for target in link.targets}
        if flows_out and instance.key in {target.key for target in link.targets}:
            before.add(link.base.key)
    return before


def _generated_stage(topology: Topology, ready_sets: list[list[Instance]], index: int) -> StageOutline:
    instances = ready_sets[index]
    types = {str(instance.name) for instance in instances}
    several = f"stage_{index + 1}" if len(ready_sets) > 1 else "stage"
    name = f"Component {types.pop()}" if len(types) == 1 else several
    nodes = {
        node: tuple(StagedAction(instance, CREATE) for instance in instances if instance.node == node)
        for node in stage_order(topology)
    }
    return StageOutline(name, tuple((node, actions) for node, actions in nodes.items() if actions))
