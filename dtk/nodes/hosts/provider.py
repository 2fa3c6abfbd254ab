"""The provider of hosts targets: existing machines, listed in dtk.yaml; a node claims a free one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from dtk.errors import DtkError
from dtk.model.settings import as_mapping, mapping, number, text, texts
from dtk.model.ssh_address import SSH_PORT, parse_jumps, parse_ssh_address
from dtk.model.target import Attributes, Target
from dtk.nodes.basic_provider import BasicProvider
from dtk.nodes.concurrent import report_each
from dtk.nodes.hosts.claims import Claim, Claims, changing_claims, read_claims
from dtk.nodes.hosts.host import FreeHosts, Host
from dtk.nodes.hosts.marks import READ, Mark, claim_script, read_mark, unclaim_script
from dtk.nodes.mark_errors import UnaskedError, refuse_other_lineage, rival_error
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
from dtk.nodes.proxy_command import with_proxy_command
from dtk.nodes.reach import check_banner, wait_for_banner
from dtk.nodes.ssh_config import with_ssh_config
from dtk.state.workspace import Workspace

_CONNECT_TIMEOUT_SECONDS = 60.0


class HostsProvider(BasicProvider):
    """The hosts of one target."""

    def __init__(self, workspace: Workspace, target: Target) -> None:
        self._workspace = workspace
        self._target = target
        self._hosts = read_hosts(target, workspace)
        self._is_connected: Callable[[Connection], bool] = lambda _: False
        self._timeout = number(target.settings, "connect_timeout", _CONNECT_TIMEOUT_SECONDS)

    def rely_on(self, is_connected: Callable[[Connection], bool]) -> None:
        """Save an attempt to connect to a machine to which there is a connection."""
        self._is_connected = is_connected

    def check(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> None:
        """Add missing claims of a service's nodes here: if its state is shared, another clone may have claimed them."""
        claims = {record.id: Claim(identity.service, identity.lineage, record.node) for record in records}
        known = read_claims(self._workspace, self._target.name)
        missing = {name: claims[name] for name in claims if name in self._hosts and name not in known}
        if missing:
            with changing_claims(self._workspace, self._target.name) as kept:
                kept.update({name: claim for name, claim in missing.items() if name not in kept})

    def create(
        self,
        identity: ServiceIdentity,
        requests: Sequence[NodeRequest],
        report: Report,
        record: Record = no_record,  # noqa: ARG002 - a claim is found again by its node
    ) -> None:
        """Claim a free host for each node, or find its earlier claim; report each once it is reachable."""
        claimed: dict[str, NodeRecord] = {}
        new: set[str] = set()
        refused: dict[str, DtkError] = {}
        with changing_claims(self._workspace, self._target.name) as claims:
            hosts, free = self._by_claim(claims), FreeHosts(self._hosts.values(), claims)
            for request in requests:
                claim = Claim(identity.service, identity.lineage, request.node)
                # After a task died with a claim, the same host is used again, not a second one.
                host = hosts.get(claim)
                if host is None:
                    host = free.take(claim)
                    new.add(request.node)
                if host is None:
                    refused[request.node] = self._none_free(claims, request.node)
                else:
                    claimed[request.node] = _record(request.node, host)
        for node, error in refused.items():
            report(node, error)

        def reach(record: NodeRecord) -> NodeRecord:
            try:
                if not record.connection.proxy_command and not self._is_connected(record.connection):
                    wait_for_banner(*_first_hop(record.connection), self._timeout)
            except DtkError:
                # A retry may get another host; a claim from an earlier, successful create stays.
                if record.node in new:
                    self._release(identity, [record])
                raise
            return record

        report_each(claimed, reach, report)

    def find_machine(self, _identity: ServiceIdentity, _node: str, id_: str) -> NodeRecord:
        """Refuse to adopt a machine: the hosts of a target are listed."""
        hint = f"add it under hosts: of target '{self._target.name}' in dtk.yaml; dtk apply then takes it for a node"
        raise DtkError(f"can't adopt {id_}: machines of a hosts target are listed in dtk.yaml", hint=hint)

    def private_keys(self) -> Sequence[str]:
        """Return the private key files of the hosts and of their jump hosts."""
        ways = [host.connection for host in self._hosts.values()]
        return list(dict.fromkeys(key for way in ways for key in (way.key, way.jump_key, *way.jump_keys) if key))

    def start(self, _: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Refuse: dtk can't power hosts on."""
        self._refuse_power(records, report)

    def stop(self, _: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Refuse: dtk could not power the hosts on again."""
        self._refuse_power(records, report)

    def terminate(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Release the nodes' claims; the machines remain unchanged."""
        self._release(identity, records)
        for record in records:
            report(record.node, replace(record, status="terminated"))

    def find_orphans(self, search: MarkSearch, known: Collection[str], ask: Ask) -> Sequence[MarkedMachine]:
        """Return the marked hosts that a search finds and whose names are not among the known ones.

        Raises:
            UnaskedError: some hosts could not be queried.
        """
        marks, silent = self._marks(ask)
        marked = [_marked(name, mark) for name, mark in marks.items()]
        found = [machine for machine in marked if search.finds(machine) and machine.id not in known]
        # The error carries the results, for callers that can continue without the unreachable hosts.
        if silent:
            raise self._unasked("which hosts belong to this workspace", silent, found)
        return found

    def find_service(self, identity: ServiceIdentity, ask: Ask) -> Sequence[MarkedMachine]:
        """Return the hosts with a service's mark.

        Raises:
            UnaskedError: some hosts could not be queried.
        """
        marks, silent = self._marks(ask)
        found = [_marked(name, mark) for name, mark in marks.items() if mark.is_of(identity)]
        if silent:
            raise self._unasked(f"whether service '{identity.service}' has hosts", silent, found)
        return found

    def _unasked(self, what: str, silent: Mapping[str, DtkError], found: Sequence[MarkedMachine]) -> UnaskedError:
        name, error = next(iter(silent.items()))
        return UnaskedError(
            f"cannot determine {what}: {len(silent)} of {len(self._hosts)} hosts of target '{self._target.name}'"
            f" could not be checked; '{name}': {error.message}",
            found,
            hint="make sure that they are running, or remove those that no longer exist from dtk.yaml",
        )

    def _marks(self, ask: Ask) -> tuple[dict[str, Mark], dict[str, DtkError]]:
        answers = ask({name: host.connection for name, host in self._hosts.items()}, READ)
        silent = {name: answer for name, answer in answers.items() if isinstance(answer, DtkError)}
        marks = {name: read_mark(answer) for name, answer in answers.items() if isinstance(answer, str)}
        return {name: mark for name, mark in marks.items() if mark}, silent

    def adopt(self, identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
        """Return a marked host as the record of its node, and add the claim to this registry."""
        refuse_other_lineage(identity, orphan)
        host = self._hosts.get(orphan.id)
        if host is None:
            raise DtkError(
                f"target '{self._target.name}' has no host '{orphan.id}'", hint="add the host to dtk.yaml again"
            )
        with changing_claims(self._workspace, self._target.name) as claims:
            claims[orphan.id] = Claim(identity.service, identity.lineage, orphan.node)
        return _record(orphan.node, host)

    def claim_script(self, identity: ServiceIdentity, node: str) -> str:
        """Return the script that marks a host for a node."""
        return claim_script(identity, node)

    def check_claim(self, identity: ServiceIdentity, node: str, printed: str) -> None:
        """Refuse a host with the mark of another service, or of this one if another clone began it as well."""
        mark = read_mark(printed)
        if mark is None:
            raise DtkError(f"the host of {node} could not be marked for this service: it printed {printed[:200]!r}")
        if not mark.is_of(identity):
            raise DtkError(
                f"the host of {node} is {mark.node} of service '{mark.service}' (id {mark.lineage}),"
                f" claimed {mark.since} by dtk {mark.dtk_version}",
                hint="destroy that service first; if it no longer exists, remove ~/.dtk/host-*.json there",
            )
        # Two clones without a state began the same service: both marks carry its id, and only the origin distinguishes
        # them.
        if identity.is_rival(mark.origin):
            raise rival_error(identity.service, f"{mark.node} is the host of {node} here, claimed {mark.since}")

    def unclaim_script(self, identity: ServiceIdentity) -> str:
        """Return the script that removes the service's mark from a host."""
        return unclaim_script(identity)

    def connection_to(self, record: NodeRecord) -> Connection:
        """Return the connection to the node's host from dtk.yaml, or from the record if it is no longer there."""
        host = self._hosts.get(record.id)
        return replace(host.connection, host_key=record.connection.host_key) if host else record.connection

    def describe(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> Sequence[NodeRecord]:
        """Return the records with the present data of dtk.yaml and the machines; unreachable ones are ``stopped``."""
        hosts = self._by_claim(read_claims(self._workspace, self._target.name))
        now: dict[str, NodeRecord] = {}
        existing: dict[str, NodeRecord] = {}
        for record in records:
            host = hosts.get(Claim(identity.service, identity.lineage, record.node))
            # Without a claim, or without a host in dtk.yaml, the node has no machine any more, whether or not the
            # machine answers.
            if host is None:
                now[record.node] = replace(record, status="terminated")
            else:
                existing[record.node] = _record(record.node, host)

        def keep(node: str, result: NodeRecord | DtkError) -> None:
            now[node] = result if isinstance(result, NodeRecord) else replace(existing[node], status="stopped")

        report_each(existing, _with_status, keep)
        return [now[record.node] for record in records]

    def _by_claim(self, claims: Claims) -> dict[Claim, Host]:
        """Return the host of each claim; the first one if a claim has several."""
        return {claim: self._hosts[name] for name, claim in reversed(claims.items()) if name in self._hosts}

    def _release(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> None:
        """Release the claims of any number of nodes in one change of the registry."""
        released = {Claim(identity.service, identity.lineage, record.node) for record in records}
        with changing_claims(self._workspace, self._target.name) as claims:
            for name in [name for name, claim in claims.items() if claim in released]:
                del claims[name]

    def _none_free(self, claims: Claims, node: str) -> DtkError:
        fitting = [host for host in self._hosts.values() if host.serves(node)]
        taken = [f"'{host.name}' by {_claimant(claims[host.name])}" for host in fitting if host.name in claims]
        shown = f": {', '.join(taken)}" if taken else ""
        return DtkError(
            f"no free host in target '{self._target.name}' for node '{node}': "
            f"{len(fitting) - len(taken)} free, {len(taken)} claimed{shown}",
            hint="add hosts to the target in dtk.yaml, or destroy a service that uses some",
        )

    def _refuse_power(self, records: Sequence[NodeRecord], report: Report) -> None:
        for record in records:
            report(record.node, DtkError(f"dtk does not power hosts of target '{self._target.name}' on or off"))


def _marked(name: str, mark: Mark) -> MarkedMachine:
    return MarkedMachine(
        name,
        "running",
        mark.service,
        mark.lineage,
        mark.node,
        mark.workspace,
        mark.dtk_version,
        mark.since,
        mark.origin,
    )


def read_hosts(target: Target, workspace: Workspace) -> Mapping[str, Host]:
    """Return a target's hosts by name, in dtk.yaml's order; a host's own settings override the target's."""
    hosts = {}
    for name, given in mapping(target.settings, "hosts").items():
        own = as_mapping(given)
        settings = {**target.settings, **own}
        address = parse_ssh_address(text(settings, "address"), int(number(settings, "port", SSH_PORT)))
        connection = Connection(
            hostname=address.host,
            port=address.port,
            user=address.user or text(settings, "user"),
            key=_path(text(settings, "key"), workspace.root),
            jump=text(settings, "jump"),
            jump_key=_path(text(settings, "jump_key"), workspace.root),
        )
        hosts[name] = Host(name, _through(connection, settings, own, name), texts(own, "nodes"))
    return hosts


def _through(connection: Connection, settings: Attributes, own: Attributes, name: str) -> Connection:
    """Return the connection to a host, with its proxy command and the user's SSH configuration applied."""
    # A host's own jump or proxy_command takes precedence over the target's, even one of the other kind.
    program = text(own, "proxy_command") or ("" if text(own, "jump") else text(settings, "proxy_command"))
    way = replace(connection, jump="") if program else connection
    way = with_ssh_config(way, has_way=bool(program)) if settings.get("ssh_config") is True else way
    return with_proxy_command(way, program, name)


def _path(written: str, folder: Path) -> str:
    return str(folder / Path(written).expanduser()) if written else ""


def _record(node: str, host: Host) -> NodeRecord:
    attributes = {
        "host_address": host.connection.hostname,
        "availability_zone": "",
        "port_offset": 0,
        "shared_address": False,
    }
    return NodeRecord(node, host.name, "running", host.connection, attributes)


def _with_status(record: NodeRecord) -> NodeRecord:
    status: NodeStatus = "running"
    if record.connection.proxy_command:
        # Checking the host behind a proxy command needs a login, which only tasks do.
        return replace(record, status=status)
    try:
        check_banner(*_first_hop(record.connection))
    except OSError:
        status = "stopped"
    return replace(record, status=status)


def _first_hop(connection: Connection) -> tuple[str, int]:
    """Return the host and port of the first hop; hosts behind a jump host are not visible from here."""
    # Reading the banner behind a jump host would need a login there first; that is up to the task.
    if not connection.jump:
        return connection.hostname, connection.port
    jump = parse_jumps(connection.jump)[0]
    return jump.host, jump.port


def _claimant(claim: Claim) -> str:
    return f"{claim.service}/{claim.node}"
