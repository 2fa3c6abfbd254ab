"""The changes in a plan, folded: one entry for the members of a group with the same change and reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from dtk.errors import InvalidError
from dtk.model.names import group_of, node_order, split_member
from dtk.model.plan import ComponentChange, NodeChange, Plan
from dtk.model.target import Attributes
from dtk.targets import describe

_SIGNS = {
    "terminate": "-",
    "release": "-",
    "replace": "-/+",
    "delete": "-",
    "create": "+",
    "new": "+",
    "start": ">",
    "stop": "<",
    "changed": "~",
    "resize": "~",
    "grow": "~",
    "modify": "~",
}
_COMPONENT_ORDER = {"delete": 0, "new": 1, "changed": 2}


@dataclass(frozen=True)
class Entry:
    """A change of one or more nodes (``slaves:[1-3]``), or of a component on them.

    ``machine`` describes the machines to be created, if the target creates any, such as ``small, ubuntu_24_04``.
    """

    sign: str
    change: str
    nodes: str
    component: str = ""
    reasons: tuple[str, ...] = ()
    machine: str = ""


def is_deletion(entry: Entry) -> bool:
    """Return whether a change irreversibly removes a node or a component."""
    return entry.sign in ("-", "-/+")


def node_entries(plan: Plan) -> list[Entry]:
    """Return the changes of nodes in the plan's order: deletions first."""
    changes = [change for change in plan.nodes if change.change != "keep"]
    text = _machine_text(plan)
    machines = {leaf.node: text(leaf.node_attributes) for leaf in plan.leaves() if leaf.type == "create_node"}

    def alike(change: NodeChange) -> tuple[str, str, str, str]:
        return change.change, group_of(change.node), change.reason, machines.get(change.node, "")

    return [_node_entry(list(group), machine) for (*_, machine), group in groupby(changes, key=alike)]


def machines_text(plan: Plan) -> str:
    """Return a summary of the machines that a plan creates: number, sizes and disk space; "" for none."""
    machines = [leaf.node_attributes for leaf in plan.leaves() if leaf.type == "create_node"]
    try:
        return describe(str(plan.target["type"])).machines_text(machines)
    except InvalidError:
        return ""


def _machine_text(plan: Plan) -> Callable[[Attributes], str]:
    """Return a function that describes a machine of the plan's target; "" if the target's package is not installed."""
    try:
        return describe(str(plan.target["type"])).machine_text
    except InvalidError:
        return lambda _attributes: ""


def _node_entry(changes: Sequence[NodeChange], machine: str) -> Entry:
    first = changes[0]
    nodes = members_text([change.node for change in changes])
    released = [f"releases {one}" for change in changes for one in change.releases]
    reasons = ((first.reason,) if first.reason else ()) + tuple(released)
    return Entry(_SIGNS[first.change], first.change, nodes, reasons=reasons, machine=machine)


def component_entries(plan: Plan) -> list[Entry]:
    """Return the changes of components: deleted ones, new ones, changed ones."""
    changes = [change for change in plan.components if change.change in _COMPONENT_ORDER]
    changes.sort(key=lambda change: (_COMPONENT_ORDER[change.change], group_of(change.node), change.component))
    return [_component_entry(list(group)) for _, group in groupby(changes, key=_component_group)]


def _component_group(change: ComponentChange) -> tuple[str, str, str, tuple[str, ...]]:
    return change.change, group_of(change.node), change.component, change.reasons


def _component_entry(changes: Sequence[ComponentChange]) -> Entry:
    first = changes[0]
    nodes = members_text(sorted((change.node for change in changes), key=node_order))
    return Entry(_SIGNS[first.change], first.change, nodes, first.component, first.reasons)


def members_text(nodes: Sequence[str]) -> str:
    """Return a short name for several nodes of one group, such as ``slaves:[1-3]``; for a single node its name."""
    if len(nodes) == 1:
        return nodes[0]
    indices = sorted(member[1] for member in map(split_member, nodes) if member)
    runs = [[index for _, index in run] for _, run in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0])]
    return f"{group_of(nodes[0])}:[{','.join(_run_text(run) for run in runs)}]"


def _run_text(run: Sequence[int]) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"
