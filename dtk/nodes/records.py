"""Converts nodes between the provider's form and the state's form."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from dtk.model.json_data import JsonObject
from dtk.nodes.provider import Connection, NodeRecord, NodeStatus
from dtk.state.model import NodeState

HOST_KEY = "host_key"
"""The node attribute with the public host key that was pinned at first contact."""


def record_of(node: str, state: NodeState) -> NodeRecord:
    """Return a node of the state in the provider's form."""
    status = cast(NodeStatus, state.status)
    return NodeRecord(
        node, state.id, status, Connection(**cast(dict[str, Any], state.connection)), dict(state.attributes)
    )


def state_of(record: NodeRecord) -> NodeState:
    """Return a provider's node in the state's form; if it has only one address, it is also the public one."""
    address = record.attributes.get("host_address", "")
    attributes = {"public_address": address, "dns_name": address, **record.attributes}
    return NodeState(record.id, record.status, asdict(record.connection), cast(JsonObject, attributes))
