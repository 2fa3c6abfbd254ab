"""The interface of targets for the executor: create machines, start, stop and terminate them, say how to reach them.

Every call is idempotent: it first looks for what an earlier, interrupted call with the same service lineage and
node may have left, so that no machine is created twice or lost (docs/architecture.md, Targets).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from dtk.errors import DtkError
from dtk.model.ssh_address import SSH_PORT, SshAddress, parse_jumps
from dtk.model.target import Attributes, TargetFacts

NodeStatus = Literal["pending", "running", "stopped", "terminated"]


@dataclass(frozen=True)
class Connection:
    """How to reach a node by SSH. ``key`` is a private key's path, "" to use the SSH agent and the usual keys.

    ``jump`` is ``user@host:port``, or several separated by commas, in order. Jump hosts are offered the user's own keys
    as well as their key: the one in ``jump_keys``, which has a path for each jump host ("" for none) or is empty, else
    ``jump_key``, else ``key``. ``host_key`` is the public host key line
    (``ssh-ed25519 AAAA…``) if the target knows it; otherwise the key is pinned at first contact. ``proxy_command``
    is a program and its arguments, quoted as in a shell, whose streams lead to the machine; then ``jump`` is empty.
    """

    hostname: str
    port: int = SSH_PORT
    user: str = ""
    key: str = ""
    jump: str = ""
    host_key: str = ""
    jump_key: str = ""
    proxy_command: str = ""
    jump_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Take the keys of jump hosts from a JSON document, too, where they are a list."""
        object.__setattr__(self, "jump_keys", tuple(self.jump_keys))

    @property
    def jumps(self) -> list[tuple[SshAddress, str]]:
        """The jump hosts in order, each with its key's path, "" for none."""
        hosts, usual = parse_jumps(self.jump), self.jump_key or self.key
        return [(host, key or usual) for host, key in zip(hosts, self.jump_keys or [""] * len(hosts), strict=True)]


@dataclass(frozen=True)
class NodeRecord:
    """An existing node, as stored in the state.

    ``id`` is the target's own name for it (an instance id, a host's name). ``attributes`` are the node attributes
    that links and templates may use: ``host_address``, ``port_offset`` (0 unless nodes share one address), ``home``,
    ``os`` …
    """

    node: str
    id: str
    status: NodeStatus
    connection: Connection
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class NodeRequest:
    """A node that should exist; ``attributes`` are the node's attributes in the plan (size, image …).

    ``known`` is what ``Record`` stored for it in an earlier task that did not finish.
    """

    node: str
    attributes: Attributes = field(default_factory=dict)
    known: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class MachineChange:
    """An existing node and the attributes that its machine should have."""

    record: NodeRecord
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class Membership:
    """A node, and the groups and DNS names (``dtk.model.membership``) it enters or leaves; it stays in ``kept``."""

    record: NodeRecord
    groups: tuple[str, ...]
    kept: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServiceIdentity:
    """The service that owns nodes: its name for people, its lineage for machines, its folder in the workspace."""

    service: str
    lineage: str
    folder: Path
    """.dtk/services/NAME: contains keys, known_hosts and local nodes."""
    task: int = 0
    """The number of the running task; 0 outside tasks."""
    workspace: str = ""
    """The id of the service's home workspace."""
    origin: str = ""
    """The id of the service's first state, which differs between clones that began it separately; "" if irrelevant."""

    def is_rival(self, origin: str) -> bool:
        """Return whether a mark was left for a first state that another clone began."""
        return bool(self.origin and origin and self.origin != origin)


@dataclass(frozen=True)
class MarkedMachine:
    """A machine with dtk's mark.

    ``service``, ``lineage`` and ``node`` come from the mark, "" if it lacks them; ``state`` is the target's own word
    for the machine's state.
    """

    id: str
    state: str
    service: str
    lineage: str
    node: str
    workspace: str = ""
    version: str = ""
    """The version of dtk that created it."""
    since: str = ""
    """When it was created: UTC, RFC 3339; "" if the target does not know."""
    origin: str = ""
    """The first state of its service that it was created for; "" if the mark does not say."""
    is_adopted: bool = False
    """Whether dtk did not create it: then dtk does not terminate it either."""


@dataclass(frozen=True)
class MarkSearch:
    """What the marks of machines must contain; "" and no tags for anything. ``tags`` are the target's own."""

    workspace: str = ""
    lineage: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def finds(self, machine: MarkedMachine) -> bool:
        """Return whether a machine of a target without tags is one of those."""
        is_of_workspace = self.workspace in ("", machine.workspace)
        return is_of_workspace and self.lineage in ("", machine.lineage) and not self.tags


Ask = Callable[[Mapping[str, Connection], str], Mapping[str, str | DtkError]]
"""Runs a shell script on several machines in parallel, by name; returns the output or the error of each."""


@dataclass(frozen=True, order=True)
class OpenPort:
    """A TCP port that is open to a range of addresses, ``192.0.2.0/24``."""

    port: int
    source: str


@dataclass(frozen=True)
class FirewallUpdate:
    """The changes made to a firewall."""

    opened: tuple[OpenPort, ...] = ()
    closed: tuple[OpenPort, ...] = ()


class RestartedError(DtkError):
    """A machine could not be changed, but was stopped and started again for it; ``record`` has its new addresses."""

    def __init__(self, error: DtkError, record: NodeRecord) -> None:
        super().__init__(error.message, hint=error.hint)
        self.record = record


Report = Callable[[str, NodeRecord | DtkError], None]
"""Called once per node, as soon as it is done: with its record, or with the error of this node."""


Record = Callable[[Sequence[str], Mapping[str, str]], None]
"""Called before a call that creates machines, with its nodes and data that identifies the call (``client_token``).

The data is on disk when it returns. Called with an empty mapping, it forgets the nodes: the call created no machine.
"""


def no_record(_nodes: Sequence[str], _known: Mapping[str, str]) -> None:
    """Record nothing: for targets whose machines can't be created twice, and outside tasks."""


class Provider(Protocol):
    """A target's machines. Calls block; the executor runs them in a separate greenlet or thread."""

    def check(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> None:
        """Raise ``DtkError`` if the target can't see a service's nodes: they would count as gone."""

    def rely_on(self, is_connected: Callable[[Connection], bool]) -> None:
        """Learn which machines are connected: no call needs to wait until they answer.

        Args:
            is_connected: returns whether a connection is open at present.
        """

    def update_firewall(
        self, identity: ServiceIdentity, records: Sequence[NodeRecord], ports: Sequence[OpenPort] | None
    ) -> FirewallUpdate:
        """Let this machine reach a service's nodes, and open exactly these ports to others; return the changes.

        Args:
            identity: the nodes' service.
            records: all existing nodes.
            ports: the desired ports; None leaves all ports as they are.
        """

    def ssh_refusal(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> str:
        """Return why the firewall stops this machine from reaching the nodes by SSH; "" if it does not.

        This changes nothing; ``update_firewall`` does.
        """

    def create(
        self,
        identity: ServiceIdentity,
        requests: Sequence[NodeRequest],
        report: Report,
        record: Record = no_record,
    ) -> None:
        """Create the nodes, or find those of an earlier call; report each with status ``running``."""

    def start(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the nodes on; report each with its new addresses."""

    def stop(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the nodes off, keeping their disks; report each with status ``stopped``."""

    def terminate(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Terminate the nodes; report each with status ``terminated``, including those that are already gone.

        A machine that was adopted (``mark_machine``) keeps running: only the service's mark is removed from it.
        """

    def resize(self, identity: ServiceIdentity, changes: Sequence[MachineChange], report: Report) -> None:
        """Change the size of machines: stop, modify and start them; report each with its new addresses.

        A machine that is only started again is reported with a ``RestartedError``.
        """

    def modify_volumes(self, identity: ServiceIdentity, changes: Sequence[MachineChange], report: Report) -> None:
        """Enlarge machines' disks or change their types; report each, including those that need no change any more."""

    def register(self, identity: ServiceIdentity, memberships: Sequence[Membership], report: Report) -> None:
        """Give nodes their DNS names and register them in groups; report each once it is healthy in all groups."""

    def deregister(self, identity: ServiceIdentity, memberships: Sequence[Membership], report: Report) -> None:
        """Take nodes out of DNS names and groups; report each once its connections are drained."""

    def release(self, identity: ServiceIdentity, nodes: Collection[str] | None = None) -> Mapping[str, DtkError]:
        """Release what is reserved for nodes that are gone for good, None for all; return the errors by node."""

    def clean_up(self, identity: ServiceIdentity, goes_on: Callable[[], bool]) -> None:
        """Remove a service's other resources after its last machine.

        Args:
            identity: the service.
            goes_on: returns whether to keep waiting for resources that are still in use.

        Raises:
            DtkError: a resource remains; the message names it and what still uses it. A later call removes it.
        """

    def find_volumes(self, identity: ServiceIdentity) -> Sequence[str]:
        """Return the volumes that outlive a service's machines, with name and id, as plans show them."""

    def delete_volumes(self, identity: ServiceIdentity, volumes: Collection[str]) -> Sequence[str]:
        """Delete volumes as ``find_volumes`` returned them, once their machines are gone; return the deleted ones."""

    def resolve_credentials(self) -> None:
        """Load the target's credentials while there is a terminal to ask the user.

        Raises:
            DtkError: there are none.
        """

    def look_up(self, requests: Sequence[Attributes]) -> TargetFacts:
        """Return what the words in requests of machines mean now, for the plan; changes nothing.

        Args:
            requests: the nodes' attributes, in the target's form.

        Raises:
            DtkError: the target can't be queried, or does not know a word.
        """

    def private_keys(self) -> Sequence[str]:
        """Return the private key files in the target's settings."""

    def why_off(self, identity: ServiceIdentity, record: NodeRecord) -> str:
        """Return why a node that should run is off, if this machine can tell at once; else ""."""

    def connection_to(self, record: NodeRecord) -> Connection:
        """Return how to reach a node with the target's present settings, whatever they were when it was created.

        This makes no calls; values that the settings lack come from the record.
        """

    def describe(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> Sequence[NodeRecord]:
        """Return the records with the machines' present status, without changing anything."""

    def find_orphans(self, search: MarkSearch, known: Collection[str], ask: Ask) -> Sequence[MarkedMachine]:
        """Return the marked machines that a search finds and whose ids are not among the known ones.

        ``ask`` is for targets that keep the mark on the machines.
        """

    def find_service(self, identity: ServiceIdentity, ask: Ask) -> Sequence[MarkedMachine]:
        """Return the machines with a service's mark: its id, or its name and its workspace's id.

        For an identity without a workspace, its name alone is enough, whatever the workspace.

        Raises:
            DtkError: they can't be determined.
        """

    def find_own(self, identity: ServiceIdentity) -> Sequence[MarkedMachine]:
        """Return the machines of a service in this folder's own records, which are kept besides the state.

        Nothing for a target without such records, or whose machines all carry marks.
        """

    def claim_script(self, identity: ServiceIdentity, node: str) -> str:
        """Return the shell script that marks a machine for a node and prints the mark that the machine then has.

        "" for a target that marks its machines in another way, or not at all.
        """

    def check_claim(self, identity: ServiceIdentity, node: str, printed: str) -> None:
        """Raise ``DtkError`` if the output of ``claim_script`` is the mark of another service."""

    def unclaim_script(self, identity: ServiceIdentity) -> str:
        """Return the shell script that removes a service's mark from a machine, "" as for ``claim_script``."""

    def adopt(self, identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
        """Return an orphan as the record of its node, and mark it as the service's."""

    def end_orphans(self, orphans: Sequence[MarkedMachine]) -> Mapping[str, DtkError]:
        """Terminate machines, release adopted ones; return the errors by id."""

    def find_machine(self, identity: ServiceIdentity, node: str, id_: str) -> NodeRecord:
        """Return a running machine that dtk did not create as the record of a node; change nothing.

        Raises:
            DtkError: there is no such machine, it is another node's, or machines of this target can't be adopted.
        """

    def mark_machine(self, identity: ServiceIdentity, record: NodeRecord) -> NodeRecord:
        """Mark a machine that ``find_machine`` returned as the node's and as adopted; return the record to store.

        Called again after a crash, it marks the machine again.
        """
