"""The provider of local targets: creates, starts, stops and terminates nodes on this machine."""

from __future__ import annotations

import platform
import socket
import sys
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.basic_provider import BasicProvider
from dtk.nodes.concurrent import report_each
from dtk.nodes.keys import ensure_key
from dtk.nodes.local.account import find_python, node_user
from dtk.nodes.local.allocation import NewNode, Places, has_own_addresses, reserve
from dtk.nodes.local.elsewhere import nodes_elsewhere, nodes_here
from dtk.nodes.local.machine import Machine, erase, machine_of, make_disk, new_home, switch_on, wait_until_up
from dtk.nodes.local.processes import end, find
from dtk.nodes.local.registry import changing_allocations, read_allocations
from dtk.nodes.local.takeover import take_over
from dtk.nodes.mark_errors import refuse_other_lineage
from dtk.nodes.provider import (
    Ask,
    Connection,
    MarkedMachine,
    MarkSearch,
    NodeRecord,
    NodeRequest,
    NodeStatus,
    Record,
    Report,
    ServiceIdentity,
    no_record,
)
from dtk.nodes.registry import node_key
from dtk.state.portable import own_key
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class _Boot:
    """A node that starts. ``listening`` is its server's socket, None if the server runs already."""

    machine: Machine
    listening: socket.socket | None
    is_new: bool


@dataclass(frozen=True)
class _ServerAccess:
    """What the nodes of one call have in common: the login key, their Python, their service."""

    key_file: Path
    public_key: str
    python: str
    identity: ServiceIdentity


class LocalProvider(BasicProvider):
    """The local nodes of one workspace. ``shared_address``: use ports of 127.0.0.1, as macOS requires."""

    def __init__(self, workspace: Workspace, *, shared_address: bool = False) -> None:
        self._workspace = workspace
        self._shared_address = shared_address

    def check(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> None:
        """Take over nodes of the state unknown to this folder: if the state is shared, another one created them."""
        take_over(self._workspace, identity, [record.node for record in records if record.id])

    def find_service(self, identity: ServiceIdentity, _ask: Ask) -> Sequence[MarkedMachine]:
        """Return a service's nodes that other folders of this machine created."""
        return [one.mark for one in nodes_elsewhere(self._workspace) if one.mark.lineage == identity.lineage]

    def find_own(self, identity: ServiceIdentity) -> Sequence[MarkedMachine]:
        """Return a service's nodes that this folder created."""
        return [mark for mark in nodes_here(self._workspace) if mark.lineage == identity.lineage]

    def find_orphans(self, search: MarkSearch, known: Collection[str], _ask: Ask) -> Sequence[MarkedMachine]:
        """Return nodes that other folders of this machine created."""
        found = [one.mark for one in nodes_elsewhere(self._workspace) if search.finds(one.mark)]
        return [mark for mark in found if mark.id not in known]

    def adopt(self, identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
        """Take over a node that another folder created."""
        refuse_other_lineage(identity, orphan)
        take_over(self._workspace, identity, [orphan.node])
        allocation = read_allocations(self._workspace).get(node_key(identity, orphan.node))
        if allocation is None:
            raise DtkError(f"{orphan.id} no longer exists", hint="dtk list-nodes --orphans")
        machine = machine_of(identity, orphan.node, allocation)
        record = _record(machine, _access(identity), ensure_key(machine.host_key_file))
        return self.describe(identity, [record])[0]

    def find_machine(self, _identity: ServiceIdentity, _node: str, id_: str) -> NodeRecord:
        """Refuse to adopt a machine: local nodes are processes that dtk starts."""
        hint = "dtk apply creates the missing nodes"
        raise DtkError(f"can't adopt {id_}: nodes of a local target are processes that dtk starts here", hint=hint)

    def create(
        self,
        identity: ServiceIdentity,
        requests: Sequence[NodeRequest],
        report: Report,
        record: Record = no_record,  # noqa: ARG002 - an allocation is found again by its node
    ) -> None:
        """Create or find the nodes and power them on, in parallel; report each once its SSH server answers."""
        nodes = [request.node for request in requests]
        take_over(self._workspace, identity, nodes, refuse_rivals=True)
        self._power_on(identity, nodes, report)

    def start(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the nodes on: same disk, same host key, and the same address unless another process has taken it."""
        known = read_allocations(self._workspace)
        for record in records:
            if node_key(identity, record.node) not in known:
                report(record.node, DtkError(f"node '{record.node}' no longer exists", hint="plan and apply again"))
        existing = [record.node for record in records if node_key(identity, record.node) in known]
        self._power_on(identity, existing, report)

    def stop(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """End every process of the nodes, their SSH servers last; the disks remain."""
        left = end({node_key(identity, record.node) for record in records})
        for record in records:
            stuck = node_key(identity, record.node) in left
            report(record.node, _stuck(record.node) if stuck else replace(record, status="stopped"))

    def terminate(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """End every process of the nodes, remove their disks and release their addresses."""
        left = end({node_key(identity, record.node) for record in records})

        def erase_one(record: NodeRecord) -> NodeRecord:
            if node_key(identity, record.node) in left:
                raise _stuck(record.node)
            self._erase(identity, record.node)
            return replace(record, status="terminated")

        report_each({record.node: record for record in records}, erase_one, report)

    def why_off(self, identity: ServiceIdentity, record: NodeRecord) -> str:
        """Return the reason if the node's processes are gone, as after a reboot of this machine; else ""."""
        if node_key(identity, record.node) not in read_allocations(self._workspace):
            return ""
        if _running(identity, [record.node]):
            return ""
        return f"node '{record.node}' is off: its processes have ended, as they do when this machine reboots"

    @staticmethod
    def connection_to(record: NodeRecord) -> Connection:
        """Return the record's connection: a local target has no settings for it."""
        return record.connection

    def describe(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> Sequence[NodeRecord]:
        """Return the records with their present status, from the process table and the disks."""
        known = read_allocations(self._workspace)
        running = _running(identity, [record.node for record in records])

        def status(node: str) -> NodeStatus:
            allocation = known.get(node_key(identity, node))
            if allocation is None:
                return "terminated"
            # Another folder may have terminated a node that both know.
            return "running" if node in running else "stopped" if Path(allocation.home).exists() else "terminated"

        return [replace(record, status=status(record.node)) for record in records]

    def _power_on(self, identity: ServiceIdentity, nodes: Sequence[str], report: Report) -> None:
        """Power on the nodes that are off; report all of them once they answer."""
        try:
            access = _access(identity)
            boots = self._reserve(identity, nodes)
        # An error of the whole call is reported for each node, because every step waits for its own report.
        except (DtkError, OSError) as error:
            for node in nodes:
                report(node, error if isinstance(error, DtkError) else DtkError(str(error)))
            return

        def bring_up(boot: _Boot) -> NodeRecord:
            try:
                _switch_on(boot, access)
                return _record(boot.machine, access, wait_until_up(boot.machine))
            except (DtkError, OSError):
                # Do not leave a node behind that never started: the state will have no record of it.
                if boot.is_new and not end({boot.machine.marker}):
                    self._erase(identity, boot.machine.node)
                raise

        report_each(boots, bring_up, report)

    def _reserve(self, identity: ServiceIdentity, nodes: Sequence[str]) -> dict[str, _Boot]:
        """Allocate addresses for all nodes at once and store them; nodes that are off get a listening socket."""
        user = node_user()
        shared = self._shared_address or not has_own_addresses()
        running = _running(identity, nodes)
        # A node whose server was killed may still have processes; a machine that starts has none.
        end({node_key(identity, node) for node in nodes if node not in running})
        boots = {}
        # All under one lock, so that two services never get the same address or port.
        with changing_allocations(self._workspace) as allocations:
            for node in nodes:
                is_new = node_key(identity, node) not in allocations
                new = NewNode(str(new_home(identity, node)), user.pw_name, shared)
                off = node not in running
                allocation, listening = reserve(allocations, identity, node, new, self._elsewhere, listens=off)
                boots[node] = _Boot(machine_of(identity, node, allocation), listening, is_new)
        return boots

    def _elsewhere(self) -> Places:
        found = (one.machine.allocation for one in nodes_elsewhere(self._workspace))
        return {(allocation.address, allocation.port) for allocation in found}

    def _erase(self, identity: ServiceIdentity, node: str) -> None:
        key = node_key(identity, node)
        allocation = read_allocations(self._workspace).get(key)
        if allocation is not None:
            erase(machine_of(identity, node, allocation))
        with changing_allocations(self._workspace) as allocations:
            allocations.pop(key, None)
            has_others = any(other.startswith(f"{identity.lineage}/") for other in allocations)
        if not has_others:
            own_key(identity.folder).unlink(missing_ok=True)
            with suppress(OSError):
                own_key(identity.folder).parent.rmdir()


def from_target(workspace: Workspace, target: Target) -> LocalProvider:
    """Return the provider of a local target in dtk.yaml."""
    return LocalProvider(workspace, shared_address=bool(target.settings.get("shared_address", False)))


def _running(identity: ServiceIdentity, nodes: Sequence[str]) -> set[str]:
    found = find({node_key(identity, node) for node in nodes})
    up = {marker for marker, processes in found.items() if processes.is_running}
    return {node for node in nodes if node_key(identity, node) in up}


def _access(identity: ServiceIdentity) -> _ServerAccess:
    key = own_key(identity.folder)
    return _ServerAccess(key, ensure_key(key), find_python(node_user()), identity)


def _switch_on(boot: _Boot, access: _ServerAccess) -> None:
    if boot.listening is not None:
        with boot.listening:
            make_disk(boot.machine)
            switch_on(boot.machine, boot.listening, access.python, access.public_key, access.identity)


def _record(machine: Machine, access: _ServerAccess, public_host_key: str) -> NodeRecord:
    allocation = machine.allocation
    connection = Connection(
        allocation.address, allocation.port, allocation.user, str(access.key_file), host_key=public_host_key
    )
    attributes = {
        "host_address": allocation.address,
        "availability_zone": "",
        "port_offset": allocation.port_offset,
        "shared_address": allocation.shared_address,
        "home": allocation.home,
        "user": allocation.user,
        "python": access.python,
        "os": operating_system(),
        "has_systemd": False,
    }
    return NodeRecord(machine.node, machine.id, "running", connection, attributes)


def operating_system() -> str:
    """Return the name and version of this machine's operating system: ``debian-12``, ``macos-14``."""
    if sys.platform == "darwin":
        return f"macos-{platform.mac_ver()[0].partition('.')[0]}"
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "linux"
    return "-".join(release[key] for key in ("ID", "VERSION_ID") if key in release)


def _stuck(node: str) -> DtkError:
    return DtkError(
        f"some processes of node '{node}' could not be killed", hint="find them with ps, kill them, and apply again"
    )
