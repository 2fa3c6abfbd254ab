"""Detects nodes that are running in the state but off in fact, and records that, so that they can be powered on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.records import record_of
from dtk.nodes.targets import provider_for
from dtk.service.planning import Inputs
from dtk.state import changes
from dtk.state.writer import StateStore


def note_nodes_that_are_off(inputs: Inputs) -> Inputs:
    """Mark nodes that are off as stopped in the state and return the updated inputs; the caller holds the lock."""
    off = list(_off(inputs))
    if not off:
        return inputs
    store = StateStore(inputs.workspace.state_file(inputs.service.name), inputs.state)
    for node in off:
        stopped = replace(store.state.nodes[node], status="stopped")
        store.change(lambda now, node=node, stopped=stopped: changes.with_node(now, node, stopped))  # type: ignore[misc]
    return replace(inputs, state=store.state)


def _off(inputs: Inputs) -> Iterator[str]:
    provider, workspace = provider_for(inputs.target, inputs.workspace), inputs.workspace
    folder = workspace.service_folder(inputs.service.name)
    identity = ServiceIdentity(inputs.service.name, inputs.state.lineage, folder, workspace=inputs.workspace_id)
    for node, known in inputs.state.nodes.items():
        if known.status == "running" and provider.why_off(identity, record_of(node, known)):
            yield node
