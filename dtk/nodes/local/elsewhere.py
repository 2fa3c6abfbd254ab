"""Local nodes found on this machine: those that other workspaces' folders created, and this one's.

A node's server has its settings file on its command line. The file is in ``.dtk`` of the workspace that created the
node, and that workspace's registry lists the allocations of all its nodes, including stopped ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dtk.errors import DtkError
from dtk.model.json_data import parse_json
from dtk.model.settings import as_mapping, text
from dtk.nodes.local.machine import Machine
from dtk.nodes.local.processes import Server, running_servers
from dtk.nodes.local.registry import Allocation, read_allocations
from dtk.nodes.provider import MarkedMachine
from dtk.state.portable import own_key
from dtk.state.workspace import Workspace

_ROOT = 5
"""Number of levels from server.json up to its workspace: ``ROOT/.dtk/services/NAME/nodes/NODE/server.json``."""


@dataclass(frozen=True)
class Elsewhere:
    """A node in another workspace's folder, with its mark and its machine there.

    ``key`` is the private key for the login.
    """

    mark: MarkedMachine
    machine: Machine
    key: Path


def nodes_elsewhere(workspace: Workspace) -> Iterator[Elsewhere]:
    """Yield the nodes that other workspaces of this machine created; folders without a running node are not found."""
    servers = running_servers()
    roots = {server.settings.parents[_ROOT] for server in servers.values() if len(server.settings.parents) > _ROOT}
    for root in sorted(roots - {workspace.root.resolve()}):
        yield from _nodes_at(root, _allocations_at(root), servers)


def nodes_here(workspace: Workspace) -> Iterator[MarkedMachine]:
    """Yield the nodes that this workspace created and whose disks exist, including stopped ones.

    Raises:
        DtkError: the registry is broken, or a newer dtk wrote it.
    """
    found = _nodes_at(workspace.root, read_allocations(workspace), running_servers())
    yield from (one.mark for one in found)


def _nodes_at(root: Path, allocations: Mapping[str, Allocation], servers: Mapping[str, Server]) -> Iterator[Elsewhere]:
    for key, allocation in allocations.items():
        lineage, _, node = key.partition("/")
        folder = Workspace(root).service_folder(allocation.service)
        machine = Machine.at(folder, node, key, allocation)
        if key in servers or machine.home.exists():
            mark = _mark(machine, lineage, _settings_of(machine), servers.get(key))
            yield Elsewhere(mark, machine, own_key(folder))


def _mark(machine: Machine, lineage: str, settings: Mapping[str, object], server: Server | None) -> MarkedMachine:
    since = datetime.fromtimestamp(server.started, UTC).isoformat(timespec="seconds") if server else ""
    state = "running" if server else "stopped"
    workspace, version, origin = (text(settings, key) for key in ("workspace", "version", "origin"))
    return MarkedMachine(
        machine.id, state, machine.allocation.service, lineage, machine.node, workspace, version, since, origin
    )


def _allocations_at(root: Path) -> Mapping[str, Allocation]:
    try:
        return read_allocations(Workspace(root))
    except (DtkError, PermissionError):
        # An unreadable folder, for example another user's, has no nodes of this workspace.
        return {}


def _settings_of(machine: Machine) -> Mapping[str, object]:
    try:
        return as_mapping(parse_json(machine.settings_file.read_bytes()))
    except (OSError, ValueError):
        return {}
