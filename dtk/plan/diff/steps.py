"""The numbered tree of steps: stages with groups, members and nodes, typed and named as in the original's table.

Source: docs/original.md 5.1 and 5.3: node stages come first, a group's members are below a row for their group,
two components on one node in one stage are one step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from dtk.errors import InvalidError, Problem
from dtk.model.names import CREATE, group_of, node_order
from dtk.model.plan import NodeChange, Stage, Step, StepType
from dtk.model.planned_action import PlannedAction
from dtk.model.target import Attributes
from dtk.plan.resolve.concurrency import Windows
from dtk.plan.workflow.stages import StagedAction, StageOutline

GROUP_TYPE: Mapping[str, StepType] = {"configure_node": "configure_nodegroup", "action": "nodegroup actions"}


@dataclass(frozen=True)
class NodeStage:
    """The name of a stage of machine work, the type of its steps, and the node change it applies."""

    name: str
    step: StepType
    change: str


NODE_STAGES = {
    "terminate": NodeStage("terminate_nodes_stage", "terminate_node", "terminate"),
    "release": NodeStage("release_nodes_stage", "release_node", "release"),
    "create": NodeStage("create_nodes_stage", "create_node", "create"),
    "start": NodeStage("power_on_nodes_stage", "power_on_node", "start"),
    "stop": NodeStage("power_off_nodes_stage", "power_off_node", "stop"),
    "modify": NodeStage("modify_volumes_stage", "modify_volumes", "modify"),
    "resize": NodeStage("resize_nodes_stage", "resize_node", "resize"),
    "register": NodeStage("register_nodes_stage", "register_node", "register"),
    "deregister": NodeStage("deregister_nodes_stage", "deregister_node", "deregister"),
}
MACHINE_STEPS = frozenset(outline.step for outline in NODE_STAGES.values())
"""The steps that the target does, not the node."""


def node_stage(changes: Iterable[NodeChange], kind: str, attributes: Mapping[str, Attributes]) -> list[Stage]:
    """Return the stage for one kind of node change; no stage if no node has it.

    A stage of a single machine has the name of its step, as in the original (``1 create_node``).
    """
    chosen = sorted((c for c in changes if c.change == kind), key=lambda change: node_order(change.node))
    if not chosen:
        return []
    outline = NODE_STAGES[kind]
    steps = tuple(
        Step("", outline.step, change.node, change.reason, node_attributes=dict(attributes.get(change.node, {})))
        for change in chosen
    )
    return [Stage("", outline.name if len(steps) > 1 else outline.step, steps)]


def component_stage(outline: StageOutline, plan_one: Callable[[StagedAction], PlannedAction]) -> Stage:
    """Convert an outline into a stage: members below their group, each node's actions in one step."""
    leaves = [_leaf(node, tuple(plan_one(action) for action in actions)) for node, actions in outline.per_node]
    return Stage("", outline.name, tuple(_grouped(leaves)), outline.max_in_flight, outline.canary)


def component_stages(
    outlines: Sequence[StageOutline], plan_one: Callable[[StagedAction], PlannedAction]
) -> list[Stage]:
    """Convert outlines into stages.

    Raises:
        InvalidError: actions can't be planned; the error lists the problems of all of them.
    """
    try:
        return [component_stage(outline, plan_one) for outline in outlines]
    except InvalidError as first:
        raise InvalidError(first.message, list(_problems(outlines, plan_one)), hint=first.hint) from None


def _problems(
    outlines: Iterable[StageOutline], plan_one: Callable[[StagedAction], PlannedAction]
) -> dict[Problem, None]:
    found: dict[Problem, None] = {}
    for action in (action for outline in outlines for action in outline.actions()):
        try:
            plan_one(action)
        except InvalidError as error:
            found |= dict.fromkeys(error.problems)
    return found


def _leaf(node: str, actions: tuple[PlannedAction, ...]) -> Step:
    plain_action = all(action.action != CREATE for action in actions)
    reasons = dict.fromkeys(reason for action in actions for reason in action.reasons)
    return Step("", "action" if plain_action else "configure_node", node, "; ".join(reasons), actions=actions)


def _grouped(leaves: Sequence[Step]) -> Iterable[Step]:
    for group, members in groupby(leaves, key=lambda step: group_of(step.node)):
        steps = tuple(members)
        if steps[0].node == group:
            yield from steps
        else:
            reasons = dict.fromkeys(step.reason for step in steps)
            yield Step("", GROUP_TYPE[steps[0].type], group, "; ".join(reasons), steps=steps)


def within_windows(stages: Iterable[Stage], windows: Windows) -> list[Stage]:
    """Set ``max_in_flight`` on each group's step.

    Args:
        stages: the stages of a plan.
        windows: ``max_in_flight`` by group name, for groups that have one.
    """
    return [
        replace(
            stage, steps=tuple(replace(s, max_in_flight=windows.get(s.node)) if s.steps else s for s in stage.steps)
        )
        for stage in stages
    ]


def number_stages(stages: Iterable[Stage]) -> tuple[Stage, ...]:
    """Assign every stage and step its number: ``3``, ``3.1``, ``3.1.1``.

    Work on a single machine is one row: its step has its stage's number (``1 create_node``), as in the original.
    """
    return tuple(
        replace(stage, number=str(index), steps=_stage_steps(stage, str(index)))
        for index, stage in enumerate(stages, start=1)
    )


def _stage_steps(stage: Stage, number: str) -> tuple[Step, ...]:
    if _is_single_machine(stage):
        return (replace(stage.steps[0], number=number),)
    return _numbered(stage.steps, number)


def _is_single_machine(stage: Stage) -> bool:
    return len(stage.steps) == 1 and stage.steps[0].type == stage.name and stage.name in MACHINE_STEPS


def _numbered(steps: Iterable[Step], parent: str) -> tuple[Step, ...]:
    return tuple(
        replace(step, number=f"{parent}.{index}", steps=_numbered(step.steps, f"{parent}.{index}"))
        for index, step in enumerate(steps, start=1)
    )
