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
from pathlib import Path

from dtk.errors import DtkError, NewerFormatError
from dtk.model.json_data import Json, JsonObject

VERSION = 1
ENTRY_DEPTH = {"nodes": 1, "attributes": 1, "applied": 2, "in_doubt": 1, "open_ports": 1}
"""The depth of the entries in each part of a state: an entry is always written whole."""


def apply_record(document: JsonObject, record: JsonObject) -> None:
    """Apply a record to a state's document."""
    removed = record.get("removed", [])
    for path in removed if isinstance(removed, list) else []:
        if isinstance(path, list):
            _remove(document, [str(word) for word in path])
    changed = record.get("changed", {})
    for name, value in changed.items() if isinstance(changed, dict) else ():
        depth = 2 if name == "unfinished" else ENTRY_DEPTH.get(name, 0)
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
