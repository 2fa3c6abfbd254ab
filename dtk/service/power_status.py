"""Nodes that the state has as running and that are off: noted, so that they can be powered on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.records import record_of
from dtk.nodes.targets import provider_for
from dtk.service.planning import Inputs
from dtk.state import changes
from dtk.state.store import StateStore


def note_nodes_that_are_off(inputs: Inputs) -> Inputs:
    """Return a service with the nodes as stopped that are off; the service's lock is held, and the state follows."""
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
