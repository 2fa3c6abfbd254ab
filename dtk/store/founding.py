"""``store.json``: the workspace that owns a store. The first writer creates it; if it disappears, data was lost."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from dtk.model.json_data import as_object, parse_json
from dtk.store.errors import DamagedError, StoreError
from dtk.store.layout import STORE_FILE
from dtk.store.objects import Objects, check_conditions, get_patiently, put_once

FORMAT_VERSION = 1


def check_store(objects: Objects, workspace: str, *, was_used: bool) -> None:
    """Check that a store belongs to this workspace and honors conditional writes; initialize a new store.

    Args:
        objects: the store.
        workspace: the id of the workspace.
        was_used: whether this machine has read a service from the store before.

    Raises:
        StoreError: the store belongs to another workspace, was emptied, or ignores conditional writes.
    """
    found = get_patiently(objects, STORE_FILE)
    if found is None and was_used:
        raise StoreError(
            "the store is empty, but this folder has read services from it before",
            hint="check that the shared folder is mounted, and that bucket and prefix in dtk.yaml are correct",
        )
    if found is None:
        # Check once, before the store is trusted with anything.
        check_conditions(objects, "")
        put_once(objects, STORE_FILE, _founded(workspace))
        found = get_patiently(objects, STORE_FILE)
    owner = _owner(found.data if found else b"")
    if owner != workspace:
        raise StoreError(
            f"the store belongs to workspace {owner}, but this workspace is {workspace}",
            hint="use a separate prefix or folder for each workspace;"
            f" if this is a clone of that workspace, add 'workspace: {owner}' to dtk.yaml",
        )


def _founded(workspace: str) -> bytes:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return json.dumps({"format_version": FORMAT_VERSION, "workspace": workspace, "created_at": now}).encode()


def _owner(data: bytes) -> str:
    try:
        document = as_object(parse_json(data))
        version = document["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise StoreError(f"the store was created by a newer dtk (format {version})", hint="update dtk")
        return str(document["workspace"])
    except (ValueError, KeyError) as error:
        raise DamagedError(f"{STORE_FILE} in the store is damaged: {error}") from None
