"""Differences between existing machines and what their nodes request: what is changed in place, and what is kept."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from dtk.model.names import group_of, node_order
from dtk.model.plan import Finding, NodeChange, NodeChangeKind, Stage
from dtk.model.target import Attributes, MachineDifference, Target
from dtk.model.window import in_flight
from dtk.plan.diff.steps import node_stage
from dtk.plan.resolve.concurrency import Windows
from dtk.plan.resolve.topology import Topology
from dtk.state.model import State

_REMEDY = "applying keeps the machine as it is"
_RESIZED = "stop, modify, start"
_OF_DISKS: tuple[NodeChangeKind, ...] = ("grow", "modify")
"""The remedies that change disks while the machine runs."""

Differences = Mapping[str, Sequence[MachineDifference]]
"""Machine differences by node."""


def machine_differences(target: Target, topology: Topology, state: State) -> Differences:
    """Return how machines differ from what the service's files request for their nodes.

    Args:
        target: determines the attributes of its machines.
        topology: the desired nodes.
        state: the existing nodes.
    """
    found = {}
    for name, node in topology.nodes.items():
        known = state.nodes.get(name)
        if known is not None and known.id:
            wished = target.description.machine_attributes(target, node.attributes)
            found[name] = tuple(target.description.machine_differences(target, wished, known.attributes))
    return {name: differences for name, differences in found.items() if differences}


def machine_findings(differences: Differences) -> Iterator[Finding]:
    """Yield the differences that only a new machine would resolve; applying does not touch them."""
    for name, found in differences.items():
        for one in found:
            if one.how == "keep":
                yield Finding(name, "kept", one.what)
        kept = [one.what for one in found if one.how == "replace"]
        if kept:
            yield Finding(name, "machine", f"{', '.join(kept)}: {_REMEDY}")


def changed_in_place(
    changes: Iterable[NodeChange], differences: Differences, aside: Collection[str]
) -> tuple[NodeChange, ...]:
    """Return node changes with in-place changes added: machines that get another size or other disks.

    Args:
        changes: the node changes so far.
        differences: how machines differ.
        aside: nodes whose machines are not changed in place.
    """
    return tuple(
        _in_place(one, differences[one.node])
        if one.node in differences and one.node not in aside and one.change in ("keep", "start")
        else one
        for one in changes
    )


def _in_place(change: NodeChange, differences: Sequence[MachineDifference]) -> NodeChange:
    sizes = [one.what for one in differences if one.how == "resize"]
    disks = [one.what for one in differences if one.how in _OF_DISKS]
    parts = [*disks, *(f"{size}: {_RESIZED}" for size in sizes)]
    # A stopped machine is resized, then started; if only its disks change, it is started like any other.
    if sizes or (disks and change.change == "keep"):
        of_disks: NodeChangeKind = "modify" if any(one.how == "modify" for one in differences) else "grow"
        return NodeChange(change.node, "resize" if sizes else of_disks, "; ".join(parts))
    return change


def in_place_stages(
    changes: Sequence[NodeChange], differences: Differences, attributes: Mapping[str, Attributes], windows: Windows
) -> list[Stage]:
    """Return the stages that change machines in place: all disks at once, then members by their group's limit.

    In a group without ``max_in_flight`` only one member is stopped at a time, because a stopped member can't serve.
    """
    chosen = {one.node: one for one in changes if one.change in (*_OF_DISKS, "resize")}
    modified = [
        replace(one, change="modify")
        for node, one in chosen.items()
        if any(difference.how in _OF_DISKS for difference in differences[node])
    ]
    stages = node_stage(modified, "modify", attributes)
    for batch in _batches([one for one in chosen.values() if one.change == "resize"], windows):
        stages += node_stage(batch, "resize", attributes)
    return stages


def _batches(changes: Sequence[NodeChange], windows: Windows) -> Iterator[list[NodeChange]]:
    groups: dict[str, list[NodeChange]] = {}
    for one in sorted(changes, key=lambda change: node_order(change.node)):
        groups.setdefault(group_of(one.node), []).append(one)
    for group, members in groups.items():
        size = in_flight(windows.get(group, 1), len(members))
        yield from (members[start : start + size] for start in range(0, len(members), size))


def like_its_group(target: Target, state: State, node: str, attributes: Attributes) -> dict[str, object]:
    """Return a new node's attributes, aligned with the existing members of its group."""
    group = group_of(node)
    if group == node:
        return dict(attributes)
    members = [known.attributes for known in state.existing_members.get(group, ())]
    return dict(target.description.like_members(attributes, members))
