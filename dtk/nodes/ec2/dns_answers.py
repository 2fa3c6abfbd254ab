"""Types of the answers of Route 53, as far as dtk reads them; names are the API's."""

from __future__ import annotations

from typing import TypedDict


class HostedZone(TypedDict):
    """A zone of Route 53."""

    Id: str
    Name: str


class ZonesAnswer(TypedDict, total=False):
    """The answer of ListHostedZonesByName."""

    HostedZones: list[HostedZone]


class RecordValue(TypedDict):
    """One value of a record set."""

    Value: str


class RecordSetNamed(TypedDict):
    """The fields that every record set has."""

    Name: str
    Type: str


class RecordSet(RecordSetNamed, total=False):
    """The records of one name and type."""

    TTL: int
    ResourceRecords: list[RecordValue]


class RecordChange(TypedDict):
    """A change of a record set: CREATE or DELETE."""

    Action: str
    ResourceRecordSet: RecordSet


class RecordSetsAnswer(TypedDict, total=False):
    """The answer of ListResourceRecordSets."""

    ResourceRecordSets: list[RecordSet]


class ChangeInfo(TypedDict):
    """A change of a zone: PENDING, or INSYNC."""

    Id: str
    Status: str


class ChangeAnswer(TypedDict):
    """The answer of ChangeResourceRecordSets and GetChange."""

    ChangeInfo: ChangeInfo
