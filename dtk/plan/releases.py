"""Adds to a plan what targets release when nodes are removed permanently."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from dtk.model.plan import NodeChange
from dtk.model.settings import texts
from dtk.model.target import RESERVED
from dtk.state.model import State


def with_releases(changes: Iterable[NodeChange], state: State) -> Iterator[NodeChange]:
    """Yield node changes with what is released for each node that is terminated; a replaced node keeps it."""
    for change in changes:
        known = state.nodes.get(change.node)
        found = texts(known.attributes, RESERVED) if known and change.change == "terminate" else ()
        yield replace(change, releases=found) if found else change
