"""How machines that exist differ from what their nodes ask for, and what new ones have in common with them."""

from __future__ import annotations

from collections.abc import Iterator

from dtk.model.names import group_of
from dtk.model.plan import Finding
from dtk.model.target import Attributes, Target
from dtk.plan.resolve.topology import Topology
from dtk.state.model import State

_REMEDY = "applying keeps the machine as it is"


def machine_findings(target: Target, topology: Topology, state: State) -> Iterator[Finding]:
    """Yield how machines differ from what the service's files say of their nodes.

    Args:
        target: says what its machines are made with.
        topology: the nodes as they are wanted.
        state: the nodes that exist.
    """
    for name, node in topology.nodes.items():
        known = state.nodes.get(name)
        if known is None or not known.id:
            continue
        wished = target.description.machine_attributes(target, node.attributes)
        found = list(target.description.machine_differences(target, wished, known.attributes))
        if found:
            yield Finding(name, "machine", f"{', '.join(one.what for one in found)}: {_REMEDY}")


def like_its_group(target: Target, state: State, node: str, attributes: Attributes) -> dict[str, object]:
    """Return a new node's attributes with what it has in common with the members of its group that exist."""
    group = group_of(node)
    if group == node:
        return dict(attributes)
    members = [known.attributes for name, known in state.nodes.items() if known.id and group_of(name) == group]
    return dict(target.description.like_members(attributes, members))
