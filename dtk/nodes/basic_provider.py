"""The parts of a provider that many types of targets have in common: no firewall, no marks, no changes of machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from dtk.errors import DtkError
from dtk.model.target import NO_FACTS, Attributes, TargetFacts
from dtk.nodes.provider import (
    Ask,
    Connection,
    FirewallUpdate,
    MachineChange,
    MarkedMachine,
    MarkSearch,
    Membership,
    NodeRecord,
    OpenPort,
    Report,
    ServiceIdentity,
)

_CREATES = "dtk apply creates the missing nodes"


class BasicProvider:
    """Default implementations for a provider without marks on machines and without a firewall; a base class."""

    def check(self, _identity: ServiceIdentity, _records: Sequence[NodeRecord]) -> None:
        """Accept all nodes."""

    def rely_on(self, _is_connected: Callable[[Connection], bool]) -> None:
        """Ignore it: machines that were just created are not connected."""

    def update_firewall(
        self, _identity: ServiceIdentity, _records: Sequence[NodeRecord], _ports: Sequence[OpenPort] | None
    ) -> FirewallUpdate:
        """Change nothing."""
        return FirewallUpdate()

    def ssh_refusal(self, _identity: ServiceIdentity, _records: Sequence[NodeRecord]) -> str:
        """Return "": there is no firewall."""
        return ""

    def resize(self, _identity: ServiceIdentity, changes: Sequence[MachineChange], report: Report) -> None:
        """Refuse to change machines."""
        for change in changes:
            report(change.record.node, DtkError("a target of this type can't change the size of its machines"))

    modify_volumes = resize

    def register(self, _identity: ServiceIdentity, memberships: Sequence[Membership], report: Report) -> None:
        """Refuse to register nodes."""
        for one in memberships:
            report(one.record.node, DtkError("a target of this type has no load balancer groups"))

    deregister = register

    def release(self, _identity: ServiceIdentity, _nodes: Collection[str] | None = None) -> Mapping[str, DtkError]:
        """Return no errors: nothing is reserved."""
        return {}

    def clean_up(self, _identity: ServiceIdentity, _goes_on: Callable[[], bool]) -> None:
        """Do nothing: there are no other resources."""

    def find_volumes(self, _identity: ServiceIdentity) -> Sequence[str]:
        """Return nothing: there are no such volumes."""
        return ()

    def delete_volumes(self, _identity: ServiceIdentity, _volumes: Collection[str]) -> Sequence[str]:
        """Return nothing: there are no such volumes."""
        return ()

    def resolve_credentials(self) -> None:
        """Do nothing: the target needs no credentials."""

    def look_up(self, _requests: Sequence[Attributes]) -> TargetFacts:
        """Return nothing: the words mean the same at all times."""
        return NO_FACTS

    def private_keys(self) -> Sequence[str]:
        """Return no files."""
        return ()

    def why_off(self, _identity: ServiceIdentity, _record: NodeRecord) -> str:
        """Return "": the reason can't be determined."""
        return ""

    def find_orphans(self, _search: MarkSearch, _known: Collection[str], _ask: Ask) -> Sequence[MarkedMachine]:
        """Return no machines."""
        return ()

    def find_service(self, _identity: ServiceIdentity, _ask: Ask) -> Sequence[MarkedMachine]:
        """Return no machines."""
        return ()

    def find_own(self, _identity: ServiceIdentity) -> Sequence[MarkedMachine]:
        """Return no machines."""
        return ()

    def claim_script(self, _identity: ServiceIdentity, _node: str) -> str:
        """Return "": machines are not marked."""
        return ""

    def check_claim(self, _identity: ServiceIdentity, _node: str, _printed: str) -> None:
        """Accept any output."""

    def unclaim_script(self, _identity: ServiceIdentity) -> str:
        """Return "": machines are not marked."""
        return ""

    def adopt(self, _identity: ServiceIdentity, orphan: MarkedMachine) -> NodeRecord:
        """Refuse to adopt a machine."""
        raise DtkError(f"a target of this type can't adopt {orphan.id}")

    def end_orphans(self, _orphans: Sequence[MarkedMachine]) -> Mapping[str, DtkError]:
        """Return no errors: there are no orphans."""
        return {}

    def find_machine(self, _identity: ServiceIdentity, _node: str, id_: str) -> NodeRecord:
        """Refuse to adopt a machine."""
        raise DtkError(f"a target of this type can't adopt {id_}: it creates its nodes itself", hint=_CREATES)

    def mark_machine(self, _identity: ServiceIdentity, record: NodeRecord) -> NodeRecord:
        """Refuse to adopt a machine."""
        raise DtkError(f"a target of this type can't adopt {record.id}")
