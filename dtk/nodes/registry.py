"""The registry of a workspace's machines and their nodes: written before anything is done with a machine.

``.dtk/nodes.json`` has a section for each type of target that needs one. Its keys allow a create that is repeated after
a crash to find what the interrupted one began. Changes are made under a flock on ``.dtk/nodes.lock``.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dtk.disk.files import PRIVATE_FILE, make_private_folder, replace_file
from dtk.errors import DtkError, NewerFormatError
from dtk.model.json_data import parse_json
from dtk.model.settings import as_mapping
from dtk.nodes.provider import ServiceIdentity
from dtk.state.workspace import Workspace

FORMAT_VERSION = 1
_LOCK_WAIT_SECONDS = 60
_LOCK_POLL_SECONDS = 0.02


def node_key(identity: ServiceIdentity, node: str) -> str:
    """Return a node's unique name among all workspaces: ``LINEAGE/NODE``."""
    return f"{identity.lineage}/{node}"


def read_section(workspace: Workspace, section: str) -> Mapping[str, object]:
    """Return the registry's section for one type of target from disk; empty if there is no file.

    Raises:
        DtkError: a newer dtk wrote it.
    """
    return as_mapping(_read(workspace).get(section))


@contextmanager
def changing_section(workspace: Workspace, section: str) -> Iterator[dict[str, object]]:
    """Provide the registry's section for one type of target for changes, under the registry's lock.

    It is written to disk at the end of the block.

    Raises:
        DtkError: another process holds the lock for too long, or a newer dtk wrote the registry.
    """
    make_private_folder(workspace.local)
    descriptor = os.open(workspace.local / "nodes.lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        _lock(descriptor)
        document = _read(workspace)
        content = dict(as_mapping(document.get(section)))
        yield content
        changed = {**document, "format_version": FORMAT_VERSION, section: content}
        replace_file(_file(workspace), json.dumps(changed, indent=2, sort_keys=True) + "\n")
    finally:
        os.close(descriptor)


def _read(workspace: Workspace) -> dict[str, object]:
    try:
        document = parse_json(_file(workspace).read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise broken(workspace, str(error)) from None
    if not isinstance(document, dict):
        raise broken(workspace, "it is not a JSON object")
    version = document.get("format_version", FORMAT_VERSION)
    if not isinstance(version, int):
        raise broken(workspace, "its format_version is not a number")
    if version > FORMAT_VERSION:
        raise NewerFormatError(str(_file(workspace)), "registry", version)
    return document


def broken(workspace: Workspace, why: str) -> DtkError:
    """Return the error for a registry that can't be parsed."""
    file = _file(workspace)
    hint = f"dtk ls lists services with nodes; when none uses local nodes or hosts, run mv {file} {file}.broken"
    return DtkError(f"{file} is broken: {why}", hint=hint)


def _file(workspace: Workspace) -> Path:
    return workspace.local / "nodes.json"


def _lock(descriptor: int) -> None:
    # No blocking flock: it would stop every greenlet of a worker, including the one that holds the lock.
    deadline = time.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DtkError("another dtk process holds .dtk/nodes.lock", hint="try again when it is done") from None
        time.sleep(_LOCK_POLL_SECONDS)
