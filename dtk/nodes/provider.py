"""What a target must do for the executor: make machines, start, stop, end them, say how to reach them.

Every call is idempotent: it first looks for what an earlier, interrupted call with the same service lineage and
node may have left, so that no machine is made twice or lost (docs/architecture.md, Targets).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from dtk.errors import DtkError
from dtk.model.ssh_address import SSH_PORT
from dtk.model.target import Attributes

NodeStatus = Literal["pending", "running", "stopped", "terminated"]


@dataclass(frozen=True)
class Connection:
    """How a node is reached by SSH. ``key`` is a private key's path, "" to use the agent and the usual keys.

    ``jump`` is ``user@host:port``, or several with commas between, gone through in this order. There the user's own
    keys are offered as well as ``jump_key``, or ``key`` where that is "". ``host_key`` is the public host key line
    (``ssh-ed25519 AAAA…``) where the target knows it; otherwise the key is pinned at first contact. ``proxy_command``
    is a program and its arguments, quoted as in a shell, whose streams lead to the machine; then there is no ``jump``.
    """

    hostname: str
    port: int = SSH_PORT
    user: str = ""
    key: str = ""
    jump: str = ""
    host_key: str = ""
    jump_key: str = ""
    proxy_command: str = ""


@dataclass(frozen=True)
class NodeRecord:
    """A node that exists, as it stands in state.

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
    """A node that should exist; ``attributes`` are those of the node in the plan (size, image …).

    ``known`` is what ``Record`` was given for it before, by a task that did not come to its end.
    """

    node: str
    attributes: Attributes = field(default_factory=dict)
    known: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class MachineChange:
    """A node that exists and the attributes that its machine should have been made with."""

    record: NodeRecord
    attributes: Attributes = field(default_factory=dict)


@dataclass(frozen=True)
class ServiceIdentity:
    """Whose nodes they are: names for people, the lineage for machines, the workspace's own folder of the service."""

    service: str
    lineage: str
    folder: Path
    """.dtk/services/NAME: keys, known_hosts and local nodes live below it."""
    task: int = 0
    """The number of the task that acts; 0 outside of tasks."""
    workspace: str = ""
    """The id of the workspace that the service is at home in."""
    origin: str = ""
    """Which first state of the service this is: another clone's is another one; "" where it does not matter."""

    def is_rival(self, origin: str) -> bool:
        """Say whether a mark was left for a state that another clone began."""
        return bool(self.origin and origin and self.origin != origin)


@dataclass(frozen=True)
class MarkedMachine:
    """A machine that carries dtk's own mark.

    ``service``, ``lineage`` and ``node`` are what the mark says, "" for what it does not; ``state`` is the target's own
    word for its state.
    """

    id: str
    state: str
    service: str
    lineage: str
    node: str
    workspace: str = ""
    version: str = ""
    """The dtk that made it."""
    since: str = ""
    """When it was made: UTC, RFC 3339; "" where the target does not say."""
    origin: str = ""
    """Which first state of its service it was made for; "" where the mark does not say."""


def rival_error(service: str, what: str) -> DtkError:
    """Return the error for machines that another clone is making; ``what`` says which and since when."""
    return DtkError(
        f"another clone makes the machines of service '{service}': {what}",
        hint="wait until it has finished, then adopt them: dtk list-nodes --orphans --adopt",
    )


class UnaskedError(DtkError):
    """Some machines could not be asked whose they are; ``found`` are those of the service among the others."""

    def __init__(self, message: str, found: Sequence[MarkedMachine] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.found = tuple(found)


Ask = Callable[[Mapping[str, Connection], str], Mapping[str, str | DtkError]]
"""Runs a shell script on machines at once, by name; returns what each printed, or why it could not be asked."""


@dataclass(frozen=True, order=True)
class OpenPort:
    """A TCP port let in from a range of addresses, ``192.0.2.0/24``."""

    port: int
    source: str


@dataclass(frozen=True)
class FirewallUpdate:
    """What was changed in a firewall."""

    opened: tuple[OpenPort, ...] = ()
    closed: tuple[OpenPort, ...] = ()


Report = Callable[[str, NodeRecord | DtkError], None]
"""Called once per node, as soon as it is done: with its record, or with what went wrong for it alone."""


Record = Callable[[Sequence[str], Mapping[str, str]], None]
"""Called before a call that makes machines, with the nodes it is for and what it can be known by (``client_token``).

What it is given is on disk when it returns. Called with the nodes alone, it forgets them: the call made no machine.
"""


def no_record(_nodes: Sequence[str], _known: Mapping[str, str]) -> None:
    """Record nothing: for targets whose machines can't be made twice, and outside of tasks."""


class Provider(Protocol):
    """A target's machines. Calls block; the executor runs them in a greenlet or a thread of its own."""

    def check(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> None:
        """Raise ``DtkError`` when a service's nodes are out of this target's sight: they would count as gone."""

    def update_firewall(
        self, identity: ServiceIdentity, records: Sequence[NodeRecord], ports: Sequence[OpenPort] | None
    ) -> FirewallUpdate:
        """Let this machine reach a service's nodes, and others these ports and no others.

        Args:
            identity: whose nodes they are.
            records: all that exist.
            ports: those that are wanted; None leaves all as they are.

        Returns:
            What had to be changed; nothing, for a target that keeps no firewall.
        """

    def ssh_refusal(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> str:
        """Say that the firewall stops this machine from reaching the nodes by SSH; "" where it does not.

        This changes nothing; ``update_firewall`` does.
        """

    def create(
        self,
        identity: ServiceIdentity,
        requests: Sequence[NodeRequest],
        report: Report,
        record: Record = no_record,
    ) -> None:
        """Make the nodes, or find those an earlier call made; report each with status ``running``."""

    def start(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the nodes on; report each with its new addresses."""

    def stop(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """Power the nodes off, keeping their disks; report each with status ``stopped``."""

    def terminate(self, identity: ServiceIdentity, records: Sequence[NodeRecord], report: Report) -> None:
        """End the nodes for good; report each with status ``terminated``. One that is gone already is fine."""

    def resize(self, identity: ServiceIdentity, changes: Sequence[MachineChange], report: Report) -> None:
        """Give machines another size: stop, modify and start them; report each with its new addresses."""

    def grow(self, identity: ServiceIdentity, changes: Sequence[MachineChange], report: Report) -> None:
        """Make machines' disks larger; report each. What is as large already is fine."""

    def clean_up(self, identity: ServiceIdentity, goes_on: Callable[[], bool]) -> None:
        """Remove what was made for a service beside its machines, after the last of them; nothing is fine.

        Args:
            identity: the service.
            goes_on: says whether what still refers to it may be waited for.

        Raises:
            DtkError: something is left; names it and what still refers to it. The same call takes it later.
        """

    def delete_volumes(self, identity: ServiceIdentity) -> Sequence[str]:
        """Delete the volumes that outlived a service's machines; return which, in words. None left is fine."""

    def resolve_credentials(self) -> None:
        """Get what the target's machines are worked on with, while there is a terminal to ask somebody on.

        Raises:
            DtkError: it can't be had.
        """

    def private_keys(self) -> Sequence[str]:
        """Return the private keys' files that the target's settings name."""

    def why_off(self, identity: ServiceIdentity, record: NodeRecord) -> str:
        """Say why a node that should run is off, where this machine can tell it at once; "" elsewhere."""

    def connection_to(self, record: NodeRecord) -> Connection:
        """Return how a node is reached as the target's settings say now, whatever they said when it was made.

        Nobody is asked; what the settings do not say is as the record has it.
        """

    def describe(self, identity: ServiceIdentity, records: Sequence[NodeRecord]) -> Sequence[NodeRecord]:
        """Return the records as the machines are now, without changing anything."""

    def find_orphans(self, workspace: str, known: Collection[str], ask: Ask) -> Sequence[MarkedMachine]:
        """Return the machines that carry a workspace's mark and whose ids are not among those known.

        ``ask`` is for targets whose machines keep the mark themselves.
        """

    def find_service(self, identity: ServiceIdentity, ask: Ask) -> Sequence[MarkedMachine]:
        """Return the machines that carry a service's mark: its id, or its name and its workspace's id.

        Of an identity without a workspace it is those of its name, whosever they are.

        Raises:
            DtkError: it can't be found out.
        """

    def find_own(self, identity: ServiceIdentity) -> Sequence[MarkedMachine]:
        """Return the machines of a service that this folder itself has on record, beside the state.

        Nothing for a target whose machines all carry marks, or that has no record of its own.
        """

    def claim_script(self, identity: ServiceIdentity, node: str) -> str:
        """Return the shell script that leaves the mark of a node on its machine and prints the mark that is there.

        "" for a target that marks its machines in another way, or not at all.
        """

    def check_claim(self, identity: ServiceIdentity, node: str, printed: str) -> None:
        """Raise ``DtkError`` when what ``claim_script`` printed is the mark of another service."""

    def unclaim_script(self, identity: ServiceIdentity) -> str:
        """Return the shell script that takes a service's mark from a machine, "" as for ``claim_script``."""

    def adopt(self, identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
        """Return an orphan as the record of its node, and mark it as the service's."""

    def end_orphans(self, orphans: Sequence[MarkedMachine]) -> Mapping[str, DtkError]:
        """End machines for good; return, by id, why some could not be."""


class BasicProvider:
    """What a provider answers whose machines carry no mark, and that keeps no firewall: a base for others."""

    def check(self, _identity: ServiceIdentity, _records: Sequence[NodeRecord]) -> None:
        """Accept all."""

    def update_firewall(
        self, _identity: ServiceIdentity, _records: Sequence[NodeRecord], _ports: Sequence[OpenPort] | None
    ) -> FirewallUpdate:
        """Change nothing."""
        return FirewallUpdate()

    def ssh_refusal(self, _identity: ServiceIdentity, _records: Sequence[NodeRecord]) -> str:
        """Say nothing."""
        return ""

    def resize(self, _identity: ServiceIdentity, changes: Sequence[MachineChange], report: Report) -> None:
        """Refuse."""
        for change in changes:
            report(change.record.node, DtkError("a target of this type can't change the size of its machines"))

    grow = resize

    def clean_up(self, _identity: ServiceIdentity, _goes_on: Callable[[], bool]) -> None:
        """Remove nothing."""

    def delete_volumes(self, _identity: ServiceIdentity) -> Sequence[str]:
        """Delete none: there are none."""
        return ()

    def resolve_credentials(self) -> None:
        """Need none."""

    def private_keys(self) -> Sequence[str]:
        """Name none."""
        return ()

    def why_off(self, _identity: ServiceIdentity, _record: NodeRecord) -> str:
        """Say nothing."""
        return ""

    def find_orphans(self, _workspace: str, _known: Collection[str], _ask: Ask) -> Sequence[MarkedMachine]:
        """Find none."""
        return ()

    def find_service(self, _identity: ServiceIdentity, _ask: Ask) -> Sequence[MarkedMachine]:
        """Find none."""
        return ()

    def find_own(self, _identity: ServiceIdentity) -> Sequence[MarkedMachine]:
        """Find none."""
        return ()

    def claim_script(self, _identity: ServiceIdentity, _node: str) -> str:
        """Leave no mark."""
        return ""

    def check_claim(self, _identity: ServiceIdentity, _node: str, _printed: str) -> None:
        """Accept all."""

    def unclaim_script(self, _identity: ServiceIdentity) -> str:
        """Take no mark away."""
        return ""

    def adopt(self, _identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
        """Refuse."""
        raise DtkError(f"a target of this type can't adopt {orphan.id}")

    def end_orphans(self, _orphans: Sequence[MarkedMachine]) -> Mapping[str, DtkError]:
        """End none: there are none."""
        return {}
