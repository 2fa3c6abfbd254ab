"""Selection of part of a plan, what it leaves out, and why a part can't be applied alone.

A machine needed by a selected action is created with it. Everything else not selected stays unchanged, and the plan
lists it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dtk.errors import Problem, UsageError
from dtk.model.names import ASSEMBLY_WIDE, CREATE, component_path, group_of
from dtk.model.plan import NodeChange, Plan, Step
from dtk.model.selection import Selection, names_of_component, names_of_node
from dtk.model.suggestion import did_you_mean
from dtk.model.value import references
from dtk.plan.diff.changes import pending_nodes
from dtk.plan.diff.recomputed import RecomputedValues, dynamic_paths
from dtk.plan.diff.steps import NODE_STAGES
from dtk.plan.resolve.topology import Topology
from dtk.plan.workflow.actions import planned_attributes
from dtk.plan.workflow.stages import StagedAction, StageOutline
from dtk.state.model import State


@dataclass(frozen=True)
class Chosen:
    """The selected node changes (nodes not selected are kept) and stages.

    ``whole`` are the stages with nothing left out. ``missing`` are the dynamic attributes without a value that only
    create actions outside the selection would set.
    """

    nodes: tuple[NodeChange, ...]
    outlines: list[StageOutline]
    whole: list[StageOutline]
    missing: frozenset[str] = frozenset()


def choose(selection: Selection, nodes: Sequence[NodeChange], outlines: Sequence[StageOutline], state: State) -> Chosen:
    """Return the selected part of a service's node changes and stages."""
    if not selection:
        return Chosen(tuple(nodes), list(outlines), list(outlines))
    selected = {
        action.key for outline in outlines for action in outline.actions() if _takes_action(selection, outline, action)
    }
    busy = {action.instance.node for outline in outlines for action in outline.actions() if action.key in selected}
    brought = {change.node for change in nodes if _brings(change, state)}
    needed = busy & brought
    kept = [change if _takes_node(selection, change, needed) else _kept(change) for change in nodes]
    # Nothing can run on a node that is not created, even if its components are selected.
    absent = {change.node for change, now in zip(nodes, kept, strict=True) if change != now} & brought
    chosen = [_part(outline, selected, absent) for outline in outlines]
    taken = {action.key for outline in chosen for action in outline.actions()}
    left = [action for outline in outlines for action in outline.actions() if action.key not in taken]
    unmade = {path for action in left if action.action == CREATE for path in dynamic_paths(action.instance)}
    parts = [outline for outline in chosen if outline.per_node]
    return Chosen(tuple(kept), parts, list(outlines), frozenset(unmade - state.attributes.keys()))


def _kept(change: NodeChange) -> NodeChange:
    return NodeChange(change.node, "keep")


def _takes_action(selection: Selection, outline: StageOutline, action: StagedAction) -> bool:
    instance = action.instance
    return selection.takes(names_of_component(instance.node, str(instance.name)) | {outline.name})


def _brings(change: NodeChange, state: State) -> bool:
    """Return whether nothing can run on a node before its change; a stopped machine with another size is resized."""
    is_started = change.change == "resize" and state.nodes[change.node].status == "stopped"
    return is_started or change.change in ("create", "start")


def _takes_node(selection: Selection, change: NodeChange, needed: Collection[str]) -> bool:
    if change.change == "keep":
        return True
    outline = NODE_STAGES[change.change]
    names = names_of_node(change.node) | {outline.name, outline.step}
    # Selecting a component also selects its machine, unless that is excluded by name.
    is_needed = change.node in needed and names.isdisjoint(selection.exclude)
    return is_needed or selection.takes(names)


def _part(outline: StageOutline, selected: Collection[str], absent: Collection[str]) -> StageOutline:
    per_node = (
        (node, tuple(action for action in actions if action.key in selected))
        for node, actions in outline.per_node
        if node not in absent
    )
    return replace(outline, per_node=tuple(entry for entry in per_node if entry[1]))


def narrowed(chosen: Chosen, left: Collection[str], state: State) -> Chosen:
    """Return a selection without the actions of these keys; values that only they would set are missing then."""
    actions = [action for outline in chosen.outlines for action in outline.actions()]
    kept = {action.key for action in actions if action.key not in left}
    unmade = {path for a in actions if a.key in left for path in dynamic_paths(a.instance, a.action)}
    parts = [part for outline in chosen.outlines if (part := _part(outline, kept, ())).per_node]
    return replace(chosen, outlines=parts, missing=chosen.missing | (unmade - state.attributes.keys()))


def waiting_actions(chosen: Chosen, absent: Collection[str], recomputed: RecomputedValues) -> set[str]:
    """Return the keys of the actions that take a missing value or an attribute of an absent node."""
    return {
        action.key
        for outline in chosen.outlines
        for action in outline.actions()
        for path in _paths_taken(action, recomputed)
        if path in chosen.missing or (path.count("/") == 1 and path.partition("/")[0] in absent)
    }


def _paths_taken(action: StagedAction, recomputed: RecomputedValues) -> dict[str, None]:
    taken = planned_attributes(action.instance, action.action, recomputed.of(action))
    return dict.fromkeys(path for value in taken.values() for path in references(value))


def check_terms(selection: Selection, topology: Topology, outlines: Iterable[StageOutline], state: State) -> None:
    """Check that every term matches something.

    Args:
        selection: the terms that the user wrote.
        topology: the service's nodes and components.
        outlines: its stages.
        state: what exists, including what is no longer in the service.

    Raises:
        UsageError: a term matches nothing; the error names the first such term and a similar name.
    """
    # Terms may name things that only the state knows: that is how users select what to remove.
    known = {ASSEMBLY_WIDE} | {name for node in (*topology.nodes, *state.nodes) for name in names_of_node(node)}
    applied = ((node, component) for node, components in state.applied.items() for component in components)
    known |= {name for key in (*topology.instances, *applied) for name in names_of_component(*key)}
    known |= {outline.name for outline in outlines}
    known |= {name for stage in NODE_STAGES.values() for name in (stage.name, stage.step)}
    for term in (*selection.only, *selection.exclude):
        if term not in known:
            hint = did_you_mean(term, sorted(known), "name a node, a group, a component or a stage")
            raise UsageError(f"'{term}' matches nothing in this service", hint=hint)


def unmade_problems(chosen: Chosen, kept: Iterable[StageOutline], recomputed: RecomputedValues) -> Iterator[Problem]:
    """Yield problems of selected actions that use a value which only left-out actions would produce."""
    coming = pending_nodes(chosen.nodes)
    for outline in kept:
        for action in outline.actions():
            nodes = recomputed.of(action).topology.nodes
            for path in _paths_taken(action, recomputed):
                node = path.partition("/")[0]
                from_node = path.count("/") == 1 and node in nodes and node not in coming
                if from_node or path in chosen.missing:
                    where = component_path(group_of(action.instance.node), str(action.instance.name))
                    location = action.location or action.instance.use.location
                    yield Problem(f"'{where}' uses {path}, which has no value yet", location, expected=_NEEDED)


_NEEDED = "also select what produces it, or apply that first"


def left_out(whole: Plan, part: Plan) -> tuple[str, ...]:
    """Return the steps of the whole plan that the part lacks: ``terminate_node slaves:3``, ``action hub/c.check``."""
    kept = set(_lines(part))
    return tuple(line for line in dict.fromkeys(_lines(whole)) if line not in kept)


def _lines(plan: Plan) -> Iterator[str]:
    for leaf in plan.leaves():
        yield from _step_lines(leaf)


def _step_lines(leaf: Step) -> Iterator[str]:
    if not leaf.actions:
        yield f"{leaf.type} {leaf.node}"
    for action in leaf.actions:
        suffix = "" if action.action == CREATE else f".{action.action}"
        yield f"{leaf.type} {leaf.node}/{action.component}{suffix}"
