"""Which machine of a workspace belongs to which node: written down before anything is done with it.

``.dtk/nodes.json`` holds the local nodes' addresses and the claims on hosts, keyed so that a create that runs again
after a crash finds what the interrupted one began. Changes are made under a flock on ``.dtk/nodes.lock``.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dtk.errors import DtkError
from dtk.nodes.provider import ServiceIdentity
from dtk.state.files import PRIVATE_FILE, make_private_folder, replace_file
from dtk.state.workspace import Workspace

FORMAT_VERSION = 1
_LOCK_WAIT_SECONDS = 60
_LOCK_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Allocation:
    """What a local node was given: an address with the port of its SSH server, its disk, the user it runs as."""

    service: str
    address: str
    port: int
    port_offset: int
    shared_address: bool
    home: str
    user: str


@dataclass(frozen=True)
class Claim:
    """Which node a host serves."""

    service: str
    lineage: str
    node: str


@dataclass
class Registry:
    """The registry's content. ``local`` is keyed by ``LINEAGE/NODE``, ``hosts`` by target, then host."""

    local: dict[str, Allocation] = field(default_factory=dict)
    hosts: dict[str, dict[str, Claim]] = field(default_factory=dict)


def node_key(identity: ServiceIdentity, node: str) -> str:
    """Return the name that tells a node from all others of all workspaces: ``LINEAGE/NODE``."""
    return f"{identity.lineage}/{node}"


def read_registry(workspace: Workspace) -> Registry:
    """Return the registry as it is on disk; an empty one where there is none.

    Raises:
        DtkError: a newer dtk wrote it.
    """
    try:
        document = json.loads(_file(workspace).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Registry()
    if document["format_version"] > FORMAT_VERSION:
        raise DtkError(f"{_file(workspace)} was written by a newer dtk", hint="use that version of dtk")
    return Registry(
        local={key: Allocation(**value) for key, value in document["local"].items()},
        hosts={
            target: {host: Claim(**claim) for host, claim in claims.items()}
            for target, claims in document["hosts"].items()
        },
    )


@contextmanager
def changing_registry(workspace: Workspace) -> Iterator[Registry]:
    """Give the registry to change, under its lock; what it holds at the end is on disk before this returns.

    Raises:
        DtkError: another process holds the lock for too long, or a newer dtk wrote the registry.
    """
    make_private_folder(workspace.local)
    descriptor = os.open(workspace.local / "nodes.lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
    try:
        _lock(descriptor)
        registry = read_registry(workspace)
        yield registry
        document = {"format_version": FORMAT_VERSION, **asdict(registry)}
        replace_file(_file(workspace), json.dumps(document, indent=2, sort_keys=True) + "\n")
    finally:
        os.close(descriptor)


def _file(workspace: Workspace) -> Path:
    return workspace.local / "nodes.json"


def _lock(descriptor: int) -> None:
    # Never a blocking flock: it would stop every greenlet of a worker, the one that holds the lock included.
    deadline = time.monotonic() + _LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DtkError("another dtk process holds .dtk/nodes.lock", hint="try again when it is done") from None
        time.sleep(_LOCK_POLL_SECONDS)
