"""Nodes that go: machines that dtk only adopted are released, and so is what targets kept for nodes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dtk.model.plan import GOING, NodeChange
from dtk.model.settings import texts
from dtk.model.target import ADOPTED, RESERVED
from dtk.state.model import State


def going(node: str, reason: str, state: State) -> NodeChange:
    """Return the change of a node that goes: dtk terminates a machine only if it created it."""
    return NodeChange(node, "release" if _is_adopted(node, state) else "terminate", reason)


def with_releases(changes: Iterable[NodeChange], state: State) -> Iterator[NodeChange]:
    """Yield node changes with what is released: what a target kept for a node that goes, a replaced adopted machine.

    A replaced node keeps what its target keeps for it.
    """
    for change in changes:
        known = state.nodes.get(change.node)
        found = texts(known.attributes, RESERVED) if known and change.change in GOING else ()
        if known and change.change == "replace" and _is_adopted(change.node, state):
            found = (f"{known.id}, which dtk did not create",)
        yield replace(change, releases=found) if found else change


def _is_adopted(node: str, state: State) -> bool:
    known = state.nodes.get(node)
    return known is not None and known.attributes.get(ADOPTED) is True
