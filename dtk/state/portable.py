"""Portable state files: local paths are replaced, so that a state copied elsewhere refers to the files there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dtk.model.json_data import JsonObject
from dtk.state.model import NodeState, State

SERVICE_KEY = "service"
"""Placeholder for the path of the service's own private key, which is stored beside the state."""
_OWN_KEY = ("keys", "id_ed25519")


def own_key(folder: Path) -> Path:
    """Return the path of a service's private key, given the folder of its local state."""
    return folder.absolute().joinpath(*_OWN_KEY)


def made_portable(state: State, folder: Path) -> State:
    """Return a state with the path of the service's own key replaced by the placeholder."""
    own = str(own_key(folder))
    return _with_keys(state, lambda key: SERVICE_KEY if key == own else key)


def portable_record(record: JsonObject, folder: Path) -> JsonObject:
    """Return a journal record with the path of the service's own key replaced by the placeholder."""
    own, changed = str(own_key(folder)), record.get("changed")
    nodes = changed.get("nodes") if isinstance(changed, dict) else None
    for node in nodes.values() if isinstance(nodes, dict) else ():
        connection = node.get("connection") if isinstance(node, dict) else None
        if isinstance(node, dict) and isinstance(connection, dict) and connection.get("key") == own:
            node["connection"] = {**connection, "key": SERVICE_KEY}
    return record


def made_local(state: State, folder: Path) -> State:
    """Return a state with the local path of the service's own key, for placeholders and for paths of an earlier dtk."""
    own = str(own_key(folder))
    shape = (".dtk", "services", state.service, *_OWN_KEY)
    return _with_keys(state, lambda key: own if key == SERVICE_KEY or Path(key).parts[-len(shape) :] == shape else key)


def _with_keys(state: State, changed: Callable[[str], str]) -> State:
    nodes = {name: _with_key(node, changed) for name, node in state.nodes.items()}
    return replace(state, nodes=nodes)


def _with_key(node: NodeState, changed: Callable[[str], str]) -> NodeState:
    key = node.connection.get("key")
    if not isinstance(key, str) or changed(key) == key:
        return node
    return replace(node, connection={**node.connection, "key": changed(key)})
