"""The journal's record of a change: the added, changed and removed entries of a state, found by its edits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TypeVar

from dtk.model.json_data import Json, JsonObject
from dtk.state.document import to_document
from dtk.state.edited import keys_that_may_differ, settle
from dtk.state.journal import ENTRY_DEPTH, VERSION
from dtk.state.model import State, Unfinished

EntryPath = tuple[str, ...]
T = TypeVar("T")


def change_record(before: State, after: State) -> JsonObject:
    """Return the journal's record of a change, as defined by schemas/state-journal.schema.json."""
    record: JsonObject = {"v": VERSION, "lineage": after.lineage, "serial": after.serial}
    if removed := list(_removed(before, after)):
        record["removed"] = [list(path) for path in removed]
    if changed := _changed(before, after):
        record["changed"] = changed
    return record


def has_change(record: JsonObject) -> bool:
    """Return whether a record has entries that were added, changed or removed."""
    return "removed" in record or "changed" in record


def settle_edits(state: State) -> None:
    """Forget which entries of a state were edited, once its record is written."""
    for mapping in (state.nodes, state.attributes, state.applied, state.in_doubt):
        settle(mapping)
    if state.unfinished:
        settle(state.unfinished.succeeded)


def _removed(before: State, after: State) -> Iterator[EntryPath]:
    """Yield the paths of the removed entries."""
    for name in ("nodes", "attributes", "applied", "in_doubt", "open_ports"):
        yield from ((name, key) for key in _gone(getattr(before, name), getattr(after, name)))
    for node in keys_that_may_differ(before.applied, after.applied):
        if node in before.applied and node in after.applied:
            yield from (("applied", node, key) for key in _gone(before.applied[node], after.applied[node]))
    if _is_same_task(before.unfinished, after.unfinished):
        if before.unfinished and after.unfinished:
            gone = _gone(before.unfinished.succeeded, after.unfinished.succeeded)
            yield from (("unfinished", "succeeded", key) for key in gone)
    elif before.unfinished is not None:
        yield ("unfinished",)


def _changed(before: State, after: State) -> JsonObject:
    """Return the added and changed parts of the state's document, each entry whole."""
    applied = {
        node: _new(before.applied.get(node, {}), components)
        for node, components in _new(before.applied, after.applied).items()
    }
    part = State(
        after.service,
        after.lineage,
        nodes=_new(before.nodes, after.nodes),
        attributes=_new(before.attributes, after.attributes),
        applied={node: components for node, components in applied.items() if components},
        unfinished=_new_unfinished(before.unfinished, after.unfinished),
        in_doubt=_new(before.in_doubt, after.in_doubt),
        open_ports=_new(before.open_ports, after.open_ports),
    )
    document = to_document(part)
    changed = {name: document[name] for name in ENTRY_DEPTH if document.get(name)}
    if "unfinished" in document:
        is_same = _is_same_task(before.unfinished, after.unfinished)
        changed["unfinished"] = _only_succeeded(document["unfinished"]) if is_same else document["unfinished"]
    for name in ("last_task", "created_at"):
        if getattr(before, name) != getattr(after, name):
            changed[name] = getattr(after, name)
    return changed


def _new_unfinished(before: Unfinished | None, after: Unfinished | None) -> Unfinished | None:
    """Return the new unfinished task; for the same task with only the actions that succeeded since."""
    if before is None or after is None or not _is_same_task(before, after):
        return after if before != after else None
    succeeded = _new(before.succeeded, after.succeeded)
    return replace(after, succeeded=succeeded) if succeeded else None


def _is_same_task(before: Unfinished | None, after: Unfinished | None) -> bool:
    """Return whether at most the successes differ: then only the new ones are written, not all of them again."""
    if before is None or after is None:
        return before is after
    return replace(before, succeeded=after.succeeded) == after


def _only_succeeded(unfinished: Json) -> Json:
    return {"succeeded": unfinished["succeeded"]} if isinstance(unfinished, dict) else None


def _gone(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [key for key in keys_that_may_differ(before, after) if key in before and key not in after]


def _new(before: Mapping[str, T], after: Mapping[str, T]) -> dict[str, T]:
    """Return the added and changed entries."""
    keys = (key for key in keys_that_may_differ(before, after) if key in after)
    return {key: after[key] for key in keys if key not in before or before[key] != after[key]}
