"""state.journal: the changes since the snapshot in state.json, one appended and fsynced line per change.

The cost of a line does not depend on the number of nodes, since the changed entries are known (dtk.state.edited).
Writing the whole state at each step of a task cost time proportional to the square of the nodes. What a crash leaves,
by the point at which it happens:

- before the line is complete: a torn last line, which is ignored (the change was never acknowledged);
- after it: the change, seen by the next reader of the state;
- while the snapshot is written: the old snapshot and the whole journal;
- after the snapshot, before the journal is removed: lines with serials that the snapshot includes; they are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from dtk.errors import DtkError, NewerFormatError
from dtk.model.json_data import Json, JsonObject
from dtk.state.document import to_document
from dtk.state.edited import keys_that_may_differ, settle
from dtk.state.model import State, Unfinished

VERSION = 1
_ENTRY_DEPTH = {"nodes": 1, "attributes": 1, "applied": 2, "in_doubt": 1, "open_ports": 1}
"""The depth of the entries in each part of a state: an entry is always written whole."""

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
    changed = {name: document[name] for name in _ENTRY_DEPTH if document.get(name)}
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


def apply_record(document: JsonObject, record: JsonObject) -> None:
    """Apply a record to a state's document."""
    removed = record.get("removed", [])
    for path in removed if isinstance(removed, list) else []:
        if isinstance(path, list):
            _remove(document, [str(word) for word in path])
    changed = record.get("changed", {})
    for name, value in changed.items() if isinstance(changed, dict) else ():
        depth = 2 if name == "unfinished" else _ENTRY_DEPTH.get(name, 0)
        _merge(document, name, value, depth)
    document["serial"] = record["serial"]


def _remove(document: JsonObject, path: list[str]) -> None:
    inner: Json = document
    for word in path[:-1]:
        inner = inner.get(word) if isinstance(inner, dict) else None
    if isinstance(inner, dict):
        inner.pop(path[-1], None)


def _merge(document: JsonObject, name: str, value: Json, depth: int) -> None:
    """Set a value under a name; merge ``depth`` levels below it and replace entries."""
    old = document.get(name)
    if depth and isinstance(old, dict) and isinstance(value, dict):
        for key, item in value.items():
            _merge(old, key, item, depth - 1)
    else:
        document[name] = value


def read_lines(path: Path) -> list[bytes]:
    """Return the complete lines of a journal; none if there is no journal.

    Read them before the snapshot: if a writer folds them in meanwhile, the new snapshot includes them all.

    Raises:
        OSError: the journal can't be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    return lines[:-1]  # text after the last line end is torn and was never acknowledged


def records_after(snapshot: Mapping[str, Json], lines: list[bytes], path: Path) -> Iterator[JsonObject]:
    """Yield the records that a snapshot does not include yet, in order.

    Raises:
        DtkError: the journal (its file is ``path``) is damaged, or belongs to another snapshot.
    """
    serial = snapshot.get("serial")
    expected = serial + 1 if isinstance(serial, int) else 1
    for number, line in enumerate(lines, start=1):
        record = _record(path, number, line)
        found = record["serial"]
        if not isinstance(found, int) or record.get("lineage") != snapshot.get("lineage") or found > expected:
            raise _damaged(path, number, f"it does not continue state.json, whose serial is {serial}")
        if found == expected:
            yield record
            expected += 1


def _record(path: Path, number: int, line: bytes) -> JsonObject:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise _damaged(path, number, "it is not JSON") from None
    if not isinstance(record, dict) or "serial" not in record:
        raise _damaged(path, number, "it is not a record of a change")
    version = record.get("v")
    if isinstance(version, int) and version > VERSION:
        raise NewerFormatError(str(path), "journal", version)
    return record


def _damaged(path: Path, number: int, why: str) -> DtkError:
    hint = f"mv {path} {path}.damaged, to continue from state.json without the changes made since it was written"
    return DtkError(f"{path}:{number} is damaged: {why}", hint=hint)
