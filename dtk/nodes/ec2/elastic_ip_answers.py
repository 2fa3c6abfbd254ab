"""Types of the answer of DescribeAddresses, as far as dtk reads it; names are the API's."""

from __future__ import annotations

from typing import TypedDict

from dtk.nodes.ec2.answers import TagAnswer


class AddressNamed(TypedDict):
    """The fields that every elastic IP has."""

    AllocationId: str
    PublicIp: str


class AddressAnswer(AddressNamed, total=False):
    """An elastic IP."""

    InstanceId: str
    AssociationId: str
    Tags: list[TagAnswer]


class AddressesAnswer(TypedDict):
    """The answer of DescribeAddresses."""

    Addresses: list[AddressAnswer]
