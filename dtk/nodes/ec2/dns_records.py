"""Route 53 records of nodes: A records, and beside each a TXT record that says which node of which service has it.

Source: the API reference of Route 53; ownership by TXT records is that of Kubernetes' external-dns. A record that dtk
did not create is never changed: new ones are made with CREATE, which Route 53 refuses for a name that exists, and
others with DELETE of exactly what dtk has recorded.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dtk.errors import DtkError, InvalidError
from dtk.model.membership import is_dns_name
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.dns_answers import ChangeAnswer, RecordSet, RecordSetsAnswer, ZonesAnswer
from dtk.nodes.ec2.dns_names import DnsName, parsed
from dtk.nodes.provider import Membership, Report, ServiceIdentity

PUBLISHING_SECONDS = 180.0
"""How long Route 53 may take to publish a change; it promises 60 under normal conditions."""
POLL_SECONDS = 3.0
_MOST_NAMES = 200
"""Names in one call: AWS takes 1000 changes, and each name needs at most four."""
_MOST_TYPES = "20"
_OWNED = re.compile(r'^"heritage=dtk,dtk/lineage=([^,]+),dtk/node=([^,]+),dtk/address=([^,"]+)"$')
_EXCLUSIVE = ("A", "AAAA", "CNAME", "TXT")
_UNFINISHED = "PriorRequestNotComplete"


@dataclass(frozen=True)
class _Owned:
    """A name's records as they are: the address of each node, or why dtk may not change them."""

    addresses: Mapping[str, str]
    sets: tuple[RecordSet, ...] = ()
    foreign: str = ""
    is_ours: bool = True


class DnsRecords:
    """The Route 53 records of one target's nodes."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._zones: dict[str, str] = {}

    def enter(self, identity: ServiceIdentity, memberships: Sequence[Membership], report: Report) -> list[Membership]:
        """Let the names of nodes stand for their addresses, and wait until Route 53 publishes it.

        Returns:
            The memberships without names, without the nodes for which it failed, which are reported.
        """
        return self._change(identity, memberships, report, enters=True)

    def leave(self, identity: ServiceIdentity, memberships: Sequence[Membership], report: Report) -> list[Membership]:
        """Take nodes' addresses out of their names; otherwise as ``enter``."""
        return self._change(identity, memberships, report, enters=False)

    def _change(
        self, identity: ServiceIdentity, memberships: Sequence[Membership], report: Report, *, enters: bool
    ) -> list[Membership]:
        wanted: dict[DnsName, dict[str, str]] = {}
        for one in memberships:
            for name in map(parsed, filter(is_dns_name, one.groups)):
                address = str(one.record.attributes.get(f"{name.address}_address") or "")
                wanted.setdefault(name, {})[one.record.node] = address
        failed: dict[str, DtkError] = {}
        changes: dict[str, list[tuple[DnsName, list[dict[str, object]]]]] = {}
        for name, nodes in wanted.items():
            try:
                zone = self._zone(name.zone, may_be_gone=not enters)
                changed = self._changes(identity, zone, name, nodes, enters=enters) if zone else []
                changes.setdefault(zone, []).extend([(name, changed)] if changed else [])
            except DtkError as error:
                failed |= dict.fromkeys(nodes, error)
        for zone, of_names in changes.items():
            for start in range(0, len(of_names), _MOST_NAMES):
                batch = of_names[start : start + _MOST_NAMES]
                try:
                    self._publish(zone, [change for _, one in batch for change in one])
                except DtkError as error:
                    failed |= {node: error for name, _ in batch for node in wanted[name]}
        for node, problem in failed.items():
            report(node, problem)
        rest = [one for one in memberships if one.record.node not in failed]
        return [replace(one, groups=tuple(name for name in one.groups if not is_dns_name(name))) for one in rest]

    def _zone(self, word: str, *, may_be_gone: bool) -> str:
        """Return the id of a zone, "" if it does not exist any more.

        Raises:
            InvalidError: there is no such zone, or two.
        """
        if "." not in word:
            return word
        if word not in self._zones:
            asked = self._aws.ask(
                "list_hosted_zones_by_name", ZonesAnswer, service="route53", DNSName=word, MaxItems="3"
            )
            found = [zone["Id"] for zone in asked.get("HostedZones", []) if zone["Name"] == word]
            if len(found) > 1:
                raise InvalidError(
                    f"Route 53 has several zones {word}",
                    hint=f"name one by its id: dns: {{zone: {_id_of(found[0])}, …}}",
                )
            if not found and not may_be_gone:
                raise InvalidError(
                    f"Route 53 has no zone {word}", hint="check the zone in dns:, and the account of the target"
                )
            self._zones[word] = _id_of(found[0]) if found else ""
        return self._zones[word]

    def _changes(
        self, identity: ServiceIdentity, zone: str, name: DnsName, nodes: Mapping[str, str], *, enters: bool
    ) -> list[dict[str, object]]:
        """Return the changes of one name.

        Raises:
            DtkError: the name has records that dtk did not create for this service, or a node has no such address.
        """
        for node, address in nodes.items() if enters else ():
            if not address:
                raise DtkError(f"{node} has no {name.address} address for {name.name}")
        found = self._found(identity, zone, name)
        if found.foreign and (enters or found.is_ours):
            raise DtkError(
                f"{name.name} has a record that dtk did not create for this service: {found.foreign}",
                hint="choose another name, or delete the record in Route 53",
            )
        if found.foreign:
            return []
        left = {node: address for node, address in found.addresses.items() if node not in nodes}
        now = {**left, **(nodes if enters else {})}
        return _differences(found.sets, _record_sets(identity, name, now) if now else [])

    def _found(self, identity: ServiceIdentity, zone: str, name: DnsName) -> _Owned:
        answer = self._aws.ask(
            "list_resource_record_sets",
            RecordSetsAnswer,
            service="route53",
            HostedZoneId=zone,
            StartRecordName=name.name,
            MaxItems=_MOST_TYPES,
        )
        own = [one for one in answer.get("ResourceRecordSets", []) if one["Name"] == name.name]
        sets = tuple(one for one in own if one["Type"] in _EXCLUSIVE)
        values = {one["Type"]: [value["Value"] for value in one.get("ResourceRecords", [])] for one in sets}
        owners = [_OWNED.match(value) for value in values.get("TXT", [])]
        addresses = {owner[2]: owner[3] for owner in owners if owner and owner[1] == identity.lineage}
        is_ours = bool(owners) and len(addresses) == len(owners)
        same = set(values.get("A", [])) == set(addresses.values()) and not {"AAAA", "CNAME"} & values.keys()
        shown = "; ".join(
            f"{type_} {', '.join(values[type_]) or 'alias'}" for type_ in sorted(values) if type_ != "TXT"
        )
        foreign = "" if not sets or (is_ours and same) else shown or f"TXT {', '.join(values.get('TXT', []))}"
        return _Owned(addresses, sets, foreign, is_ours)

    def _publish(self, zone: str, changes: Sequence[Mapping[str, object]]) -> None:
        """Make changes together, and wait until all of Route 53's servers have them.

        Raises:
            DtkError: AWS refuses, or does not publish them in time.
        """
        asked = {"HostedZoneId": zone, "ChangeBatch": {"Comment": "dtk", "Changes": list(changes)}}
        answer = self._aws.request(
            "change_resource_record_sets", ChangeAnswer, asked, service="route53", settling=(_UNFINISHED,)
        )
        until = time.monotonic() + PUBLISHING_SECONDS
        while answer["ChangeInfo"]["Status"] != "INSYNC":
            if time.monotonic() > until:
                raise DtkError(
                    f"Route 53 has not published the change of zone {zone} within {PUBLISHING_SECONDS:g} s",
                    hint="dtk apply --resume waits again",
                )
            time.sleep(POLL_SECONDS)
            answer = self._aws.ask("get_change", ChangeAnswer, service="route53", Id=_id_of(answer["ChangeInfo"]["Id"]))


def _id_of(path: str) -> str:
    """Return ``Z0123`` of ``/hostedzone/Z0123``."""
    return path.rpartition("/")[2]


def _record_sets(identity: ServiceIdentity, name: DnsName, addresses: Mapping[str, str]) -> list[RecordSet]:
    owners = [
        f'"heritage=dtk,dtk/lineage={identity.lineage},dtk/node={node},dtk/address={address}"'
        for node, address in sorted(addresses.items())
    ]
    return [
        RecordSet(Name=name.name, Type=type_, TTL=name.ttl, ResourceRecords=[{"Value": value} for value in values])
        for type_, values in (("A", sorted(set(addresses.values()))), ("TXT", owners))
    ]


def _differences(before: Iterable[RecordSet], after: Iterable[RecordSet]) -> list[dict[str, object]]:
    """Return the changes from record sets to others; DELETE names exactly what is there, so that nothing else goes."""
    old, new = {one["Type"]: one for one in before}, {one["Type"]: one for one in after}
    changes: list[dict[str, object]] = []
    for type_ in ("A", "TXT"):
        if _content(old.get(type_)) != _content(new.get(type_)):
            changes += [{"Action": "DELETE", "ResourceRecordSet": old[type_]}] if type_ in old else []
            changes += [{"Action": "CREATE", "ResourceRecordSet": new[type_]}] if type_ in new else []
    return changes


def _content(one: RecordSet | None) -> object:
    return (one.get("TTL"), sorted(value["Value"] for value in one.get("ResourceRecords", []))) if one else None
