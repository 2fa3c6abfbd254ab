"""The content of a service's picture: nodes with their components, who uses whom, the stages of a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from dtk.events.tree import Status, Task, TaskStep
from dtk.model.names import ASSEMBLY_WIDE, group_of, node_order
from dtk.model.plan import Stage
from dtk.plan.resolve.links import Link
from dtk.plan.resolve.topology import Topology
from dtk.views.plan_entries import members_text

GRAVITY: Sequence[Status] = ("failed", "cancelled", "executing", "created", "succeeded")
"""Precedence of statuses: a node shows the first of these that any of its steps has."""


@dataclass(frozen=True)
class Box:
    """A node, or a group with its members.

    ``statuses`` has the result of a task by node, if the picture shows one; ``steps`` has the step to link to by node.
    """

    name: str
    members: tuple[str, ...]
    components: tuple[str, ...]
    is_group: bool = False
    statuses: Mapping[str, Status] | None = None
    steps: Mapping[str, str] | None = None

    @property
    def is_node(self) -> bool:
        """Whether the box stands for machines; assembly-wide components have none."""
        return self.name != ASSEMBLY_WIDE


@dataclass(frozen=True)
class Arrow:
    """A component that uses another one; each is a box's name and a component's name."""

    user: tuple[str, str]
    used: tuple[str, str]


@dataclass(frozen=True)
class StageBox:
    """A stage: its number, its name, and what it does, in a line per group or node."""

    number: str
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """Everything to draw."""

    title: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...] = ()
    stages: tuple[StageBox, ...] = ()


def picture_of_service(title: str, topology: Topology, links: Iterable[Link], stages: Iterable[Stage]) -> Picture:
    """Return the picture of a service as its files define it, with the stages of a plan."""
    names = dict.fromkeys([*map(group_of, topology.nodes), *(group_of(i.node) for i in topology.declared)])
    boxes = [_declared_box(name, topology) for name in names]
    return Picture(title, tuple(boxes), arrows_of(links), tuple(map(_stage_box, stages)))


def arrows_of(links: Iterable[Link]) -> tuple[Arrow, ...]:
    """Return the arrows of links; links of a group's members are merged into one, and those between peers omitted."""
    arrows = (
        Arrow((group_of(link.base.node), str(link.base.name)), (group_of(target.node), str(target.name)))
        for link in links
        for target in link.targets
    )
    return tuple(arrow for arrow in dict.fromkeys(arrows) if arrow.user != arrow.used)


def _declared_box(name: str, topology: Topology) -> Box:
    members = tuple(sorted((node for node in topology.nodes if group_of(node) == name), key=node_order))
    components = dict.fromkeys(str(i.name) for i in topology.declared if group_of(i.node) == name)
    declared = topology.assembly.nodes.get(name)
    is_group = declared is not None and declared.is_group
    return Box(name, members if is_group else (name,), tuple(components), is_group=is_group)


def _stage_box(stage: Stage) -> StageBox:
    lines: list[str] = []
    for (kind, _), found in groupby(stage.steps, key=lambda step: (step.type, group_of(step.node))):
        steps = list(found)
        members = f" ({len(steps[0].steps)})" if steps[0].steps else ""
        lines.append(f"{kind} {members_text([step.node for step in steps])}{members}")
    return StageBox(stage.number, stage.name, tuple(lines))


def picture_of_task(task: Task, arrows: Iterable[Arrow] = ()) -> Picture:
    """Return the picture of the nodes and components that a task's log names, with their results.

    Arrows between components that the task does not name are omitted.
    """
    nodes: dict[str, list[TaskStep]] = {}
    for leaf in task.leaves():
        nodes.setdefault(leaf.node, []).append(leaf)
    names = dict.fromkeys(group_of(node) for node in nodes if node)
    boxes = tuple(_task_box(name, nodes) for name in names)
    known = {(box.name, component) for box in boxes for component in box.components}
    kept = tuple(arrow for arrow in arrows if {arrow.user, arrow.used} <= known)
    return Picture(f"{task.service} task {task.number}", boxes, kept)


def _task_box(name: str, nodes: Mapping[str, Sequence[TaskStep]]) -> Box:
    members = tuple(sorted((node for node in nodes if group_of(node) == name), key=node_order))
    components = dict.fromkeys(c for node in members for leaf in nodes[node] for c in _components(leaf))
    statuses = {node: _outcome(nodes[node]) for node in members}
    steps = {node: _telling_step(nodes[node], statuses[node]) for node in members}
    return Box(name, members, tuple(components), members != (name,), statuses, steps)


def _telling_step(leaves: Sequence[TaskStep], status: Status) -> str:
    """Return the number of a node's last step with the given status, else of its first step."""
    return next((leaf.number for leaf in reversed(leaves) if leaf.status == status), leaves[0].number)


def _outcome(leaves: Sequence[TaskStep]) -> Status:
    """Return the most important status of a node's steps that have begun; steps to come are ignored."""
    return gravest(leaf.status for leaf in leaves if leaf.status != "created")


def _components(leaf: TaskStep) -> list[str]:
    """Return the components of a step, including those of its actions, such as ``dask::client.smoke_test``."""
    return [*leaf.components, *(action.rpartition(".")[0] for action in leaf.actions)]


def gravest(statuses: Iterable[Status]) -> Status:
    """Return the most important of some statuses, by ``GRAVITY``."""
    return min(statuses, key=GRAVITY.index, default="created")
