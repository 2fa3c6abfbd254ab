"""``store:`` of dtk.yaml: the settings of the workspace's shared store, and which of them exclude each other."""

from __future__ import annotations

from collections.abc import Iterator

from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import Problem
from dtk.model.store_settings import DEFAULT_LEASE_SECONDS, StoreSettings

_NEEDED = {"s3": "bucket", "folder": "path"}
_COMMON = frozenset({"type", "lease"})
_UNITS = {"s": 1.0, "m": 60.0}


def store_problems(workspace: Cursor) -> Iterator[Problem]:
    """Yield the problems of a dtk.yaml's store beyond its schema: keys that its type requires or does not accept."""
    store = workspace.get("store")
    kind = store.get("type") if store else None
    if store is None or kind is None:
        return
    needed = _NEEDED[kind.value]
    if needed not in store.value:
        yield store.problem(f"{needed} is missing", expected=f"{needed}, which a store of type {kind.value} needs")
    for entry in store.entries():
        is_path = entry.name == "path"
        if entry.name not in _COMMON and is_path != (kind.value == "folder"):
            other = "folder" if is_path else "s3"
            yield entry.key_problem(
                f"{entry.name} is a setting of stores of type {other}, but this one is {kind.value}"
            )


def store_settings(workspace: Cursor) -> StoreSettings | None:
    """Return the store of a valid dtk.yaml, None if the state is only local."""
    store = workspace.get("store")
    if store is None:
        return None
    named = {entry.name: str(entry.value) for entry in store.entries() if entry.name != "lease"}
    return StoreSettings(**named, lease=_seconds(store.text("lease")))


def _seconds(text: str) -> float:
    return float(text[:-1]) * _UNITS[text[-1]] if text else DEFAULT_LEASE_SECONDS
