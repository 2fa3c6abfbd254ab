"""Route 53 records of nodes: A records, and beside each a TXT record that says which node of which service has it.

Source: the API reference of Route 53; ownership by TXT records is that of Kubernetes' external-dns. A record that dtk
did not create is never changed: new ones are made with CREATE, which Route 53 refuses for a name that exists, and
others with DELETE of exactly what dtk has recorded. Both are in one call, which takes effect as a whole: a name whose
addresses or TTL change always exists.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dtk.errors import DtkError, InvalidError
from dtk.model.membership import is_dns_name
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.dns_answers import ChangeAnswer, RecordChange, RecordSet, RecordSetsAnswer, ZonesAnswer
from dtk.nodes.ec2.dns_names import DnsName, parsed
from dtk.nodes.ec2.problems import AwsError
from dtk.nodes.provider import Membership, Report, ServiceIdentity

PUBLISHING_SECONDS = 180.0
"""How long Route 53 may take to publish a change; it promises 60 under normal conditions."""
POLL_SECONDS = 3.0
_MOST_RECORDS, _MOST_CHARACTERS = 1000, 32_000
"""AWS's limits for the values in one call: their number, and the sum of their characters."""
_MOST_TYPES = "20"
_OWNED = re.compile(r'^"heritage=dtk,dtk/lineage=([^,]+),dtk/node=([^,]+),dtk/address=([^,"]+)"$')
_EXCLUSIVE = ("A", "AAAA", "CNAME", "TXT")
_UNFINISHED = "PriorRequestNotComplete"
_NO_ZONE = "NoSuchHostedZone"
_ESCAPED = re.compile(r"\\(\d{3})")
"""How Route 53 shows characters of names other than letters, digits, ``-`` and ``_``: ``\\052`` is ``*``."""

_Changes = list[tuple[str, list[RecordChange]]]
"""Changes by name."""


@dataclass(frozen=True)
class _Owned:
    """A name's records as they are: the address of each node, or why dtk may not change them."""

    addresses: Mapping[str, str]
    sets: tuple[RecordSet, ...] = ()
    foreign: str = ""
    is_ours: bool = True

    def ttl(self, default: int) -> int:
        """Return the TTL of the records in seconds, or the default if there are none."""
        return next((one["TTL"] for one in self.sets if "TTL" in one), default)


@dataclass(frozen=True)
class _Wanted:
    """The nodes that enter or leave a name, with their addresses."""

    name: DnsName
    addresses: dict[str, str] = field(default_factory=dict)


class DnsRecords:
    """The Route 53 records of one target's nodes."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._zones: dict[str, tuple[str, ...]] = {}

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
        wanted, failed = self._wanted(memberships, enters=enters)
        changes: dict[str, _Changes] = {}
        for (zone, name), of_name in wanted.items():
            try:
                changed = self._changes(identity, zone, of_name, enters=enters)
                changes.setdefault(zone, []).extend([(name, changed)] if changed else [])
            except DtkError as error:
                failed |= dict.fromkeys(of_name.addresses, error)
        for zone, of_names in changes.items():
            for batch in _batches(of_names):
                try:
                    self._publish(zone, [change for _, one in batch for change in one])
                except DtkError as error:
                    failed |= {node: error for name, _ in batch for node in wanted[zone, name].addresses}
        for node, problem in failed.items():
            report(node, problem)
        rest = [one for one in memberships if one.record.node not in failed]
        return [replace(one, groups=_without_names(one.groups), kept=_without_names(one.kept)) for one in rest]

    def _wanted(
        self, memberships: Sequence[Membership], *, enters: bool
    ) -> tuple[dict[tuple[str, str], _Wanted], dict[str, DtkError]]:
        """Return the nodes by zone and name, and those whose zone can't be found."""
        wanted: dict[tuple[str, str], _Wanted] = {}
        failed: dict[str, DtkError] = {}
        for one in memberships:
            try:
                # A name that has only another TTL, say, stays: what it has now was made when the node entered it.
                kept = {(zone, name.name) for zone, name in self._places(one.kept, enters=enters)}
                for zone, name in self._places(one.groups, enters=enters):
                    if (zone, name.name) not in kept:
                        address = str(one.record.attributes.get(f"{name.address}_address") or "")
                        wanted.setdefault((zone, name.name), _Wanted(name)).addresses[one.record.node] = address
            except DtkError as error:
                failed[one.record.node] = error
        return wanted, failed

    def _places(self, groups: Iterable[str], *, enters: bool) -> list[tuple[str, DnsName]]:
        """Return the names among groups, each with the id of its zone."""
        names = map(parsed, filter(is_dns_name, groups))
        return [(zone, name) for name in names for zone in self._ids(name.zone, enters=enters)]

    def _ids(self, word: str, *, enters: bool) -> tuple[str, ...]:
        """Return the ids of the zones that a word means; a node leaves all of them, as far as they still exist.

        Raises:
            InvalidError: a node that enters it can't: there is no such zone, or two.
        """
        if "." not in word:
            return (word,)
        if word not in self._zones:
            asked = self._aws.ask(
                "list_hosted_zones_by_name", ZonesAnswer, service="route53", DNSName=word, MaxItems="3"
            )
            found = (zone["Id"] for zone in asked.get("HostedZones", []) if _decoded(zone["Name"]) == word)
            self._zones[word] = tuple(map(_id_of, found))
        zones = self._zones[word]
        if len(zones) > 1 and enters:
            raise InvalidError(
                f"Route 53 has several zones {word}", hint=f"name one by its id: dns: {{zone: {zones[0]}, …}}"
            )
        if not zones and enters:
            raise InvalidError(
                f"Route 53 has no zone {word}", hint="check the zone in dns:, and the account of the target"
            )
        return zones

    def _changes(self, identity: ServiceIdentity, zone: str, wanted: _Wanted, *, enters: bool) -> list[RecordChange]:
        """Return the changes of one name.

        Raises:
            DtkError: the name has records that dtk did not create for this service, or a node has no such address.
        """
        name, nodes = wanted.name, wanted.addresses
        for node, address in nodes.items() if enters else ():
            if not address:
                raise DtkError(f"{node} has no {name.address} address for {name.name}")
        try:
            found = self._found(identity, zone, name)
        except AwsError as error:
            if enters or error.code != _NO_ZONE:
                raise
            return []
        if found.foreign and (enters or found.is_ours):
            raise DtkError(
                f"{name.name} has a record that dtk did not create for this service: {found.foreign}",
                hint="choose another name, or delete the record in Route 53",
            )
        if found.foreign:
            return []
        left = {node: address for node, address in found.addresses.items() if node not in nodes}
        now = {**left, **(nodes if enters else {})}
        # The others' record stays as it is.
        name = name if enters else replace(name, ttl=found.ttl(name.ttl))
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
        own = [one for one in answer.get("ResourceRecordSets", []) if _decoded(one["Name"]) == name.name]
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

    def _publish(self, zone: str, changes: Sequence[RecordChange]) -> None:
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


def _decoded(name: str) -> str:
    """Return a name as people write it."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), name)


def _without_names(groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(group for group in groups if not is_dns_name(group))


def _batches(of_names: _Changes) -> Iterator[_Changes]:
    """Yield the changes of names as calls take them; those of one name are together, so that it always exists."""
    batch: _Changes = []
    records = characters = 0
    for name, changes in of_names:
        values = [one["Value"] for change in changes for one in change["ResourceRecordSet"].get("ResourceRecords", [])]
        size = sum(map(len, values))
        if batch and (records + len(values) > _MOST_RECORDS or characters + size > _MOST_CHARACTERS):
            yield batch
            batch, records, characters = [], 0, 0
        batch, records, characters = [*batch, (name, changes)], records + len(values), characters + size
    if batch:
        yield batch


def _record_sets(identity: ServiceIdentity, name: DnsName, addresses: Mapping[str, str]) -> list[RecordSet]:
    owners = [
        f'"heritage=dtk,dtk/lineage={identity.lineage},dtk/node={node},dtk/address={address}"'
        for node, address in sorted(addresses.items())
    ]
    return [
        RecordSet(Name=name.name, Type=type_, TTL=name.ttl, ResourceRecords=[{"Value": value} for value in values])
        for type_, values in (("A", sorted(set(addresses.values()))), ("TXT", owners))
    ]


def _differences(before: Iterable[RecordSet], after: Iterable[RecordSet]) -> list[RecordChange]:
    """Return the changes from record sets to others; DELETE names exactly what is there, so that nothing else goes."""
    old, new = {one["Type"]: one for one in before}, {one["Type"]: one for one in after}
    changes: list[RecordChange] = []
    for type_ in ("A", "TXT"):
        if _content(old.get(type_)) != _content(new.get(type_)):
            changes += [{"Action": "DELETE", "ResourceRecordSet": old[type_]}] if type_ in old else []
            changes += [{"Action": "CREATE", "ResourceRecordSet": new[type_]}] if type_ in new else []
    return changes


def _content(one: RecordSet | None) -> object:
    return (one.get("TTL"), sorted(value["Value"] for value in one.get("ResourceRecords", []))) if one else None
