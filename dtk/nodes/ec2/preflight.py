"""Checks before anything is created that image, instance type, disk and zone are compatible.

If the IAM policy does not allow a query, its check is skipped: EC2 itself then reports what it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from dtk.errors import InvalidError
from dtk.nodes.ec2.answers import InstanceType, TypeOffering
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.call import MachineRequest
from dtk.nodes.ec2.problems import NOT_ALLOWED, AwsError
from dtk.nodes.ec2.words import ROOT_DEVICE_GIGABYTES

_Answer = TypeVar("_Answer")
_ARM = "arm64"
_MOST_NAMES = 100
"""Names per API filter: half of AWS's limit."""


@dataclass(frozen=True)
class TypeFacts:
    """An instance type: its architectures, its size, and the zones of the region that offer it."""

    architectures: tuple[str, ...]
    vcpus: int
    memory: int
    """In MiB."""
    zones: frozenset[str] = frozenset()


def checked(aws: Aws, machines: Mapping[str, MachineRequest]) -> dict[str, MachineRequest]:
    """Return the nodes' requests without zones that lack their types, and with disks at least as large as the images.

    Args:
        aws: the AWS services.
        machines: the request of each node to create.

    Raises:
        InvalidError: a node can't be created as requested; names the node, what does not fit, and what to set.
    """
    types = sorted({type_ for machine in machines.values() for type_ in machine.spec.instance_types})
    facts = if_allowed(lambda: type_facts(aws, types))
    return {node: _checked(aws, node, machine, facts) for node, machine in machines.items()}


def _checked(aws: Aws, node: str, machine: MachineRequest, facts: Mapping[str, TypeFacts] | None) -> MachineRequest:
    machine = _with_root_disk(node, machine)
    if facts is None:
        return machine
    first = facts.get(machine.spec.instance_types[0])
    machine = replace(machine, vcpus=first.vcpus if first else 0)
    for type_ in machine.spec.instance_types:
        _check_type(aws, node, machine, type_, facts.get(type_))
    offered = [(type_, zone) for type_ in machine.spec.instance_types for zone in facts[type_].zones]
    zones = {subnet.availability_zone for subnet in machine.subnets}
    if any(facts[type_].zones for type_ in machine.spec.instance_types):
        wanted = {zone for zone in zones if machine.spec.availability_zone in ("", zone)}
        if wanted and not wanted.intersection(zone for _, zone in offered):
            _refuse_zones(node, machine, sorted(wanted), sorted({zone for _, zone in offered}))
        return replace(machine, offered=frozenset(offered))
    return machine


def _with_root_disk(node: str, machine: MachineRequest) -> MachineRequest:
    """Set the root disk's size: by default at least the image's size; a configured size must fit the image."""
    size, least = machine.spec.root_device_size, machine.image.root_size
    if size and size < least:
        raise InvalidError(
            f"root_device_size {size} of node '{node}' is less than the {least} GB of its image {machine.image.id}"
            f" ('{machine.spec.image}')",
            hint=f"set it to at least {least}, or omit it",
        )
    return replace(machine, spec=replace(machine.spec, root_device_size=size or max(ROOT_DEVICE_GIGABYTES, least)))


def _check_type(aws: Aws, node: str, machine: MachineRequest, type_: str, facts: TypeFacts | None) -> None:
    if facts is None:
        raise InvalidError(
            f"region {aws.region} has no instance type {type_}, which node '{node}' requests",
            hint="choose another size or instance_type, or correct the target's sizes: in dtk.yaml",
        )
    architecture = machine.image.architecture
    if architecture and facts.architectures and architecture not in facts.architectures:
        words = machine.spec.image
        other = "t4g.small, m7g.large" if architecture == _ARM else "t3.small, m7i.large"
        raise InvalidError(
            f"node '{node}' can't be created: its image {machine.image.id} ('{words}') is for {architecture}, and its"
            f" instance type {type_} runs {' and '.join(facts.architectures)}",
            hint=f"choose an instance_type for {architecture} ({other}), or an image for {facts.architectures[0]}",
        )


def _refuse_zones(node: str, machine: MachineRequest, wanted: Sequence[str], offered: Sequence[str]) -> None:
    types = " or ".join(machine.spec.instance_types)
    raise InvalidError(
        f"node '{node}' can't be created: {types} is not offered in {', '.join(wanted)}, where its subnets are",
        hint=f"choose another instance_type, or a subnet in one of {', '.join(offered)}",
    )


def describe_types(aws: Aws, types: Sequence[str]) -> dict[str, TypeFacts]:
    """Return architectures and sizes of instance types, by name; types that the region does not have are missing."""
    found: dict[str, TypeFacts] = {}
    for named in _filters(types):
        for one in aws.pages("describe_instance_types", "InstanceTypes", InstanceType, Filters=named):
            architectures = tuple(one.get("ProcessorInfo", {}).get("SupportedArchitectures", []))
            vcpus = one.get("VCpuInfo", {}).get("DefaultVCpus", 0)
            memory = one.get("MemoryInfo", {}).get("SizeInMiB", 0)
            found[one["InstanceType"]] = TypeFacts(architectures, vcpus, memory)
    return found


def _filters(types: Sequence[str]) -> Iterator[list[dict[str, object]]]:
    """Yield filters for types by name. An unknown type in a list of names would make the call fail for all others."""
    for start in range(0, len(types), _MOST_NAMES):
        yield [{"Name": "instance-type", "Values": list(types[start : start + _MOST_NAMES])}]


def type_facts(aws: Aws, types: Sequence[str]) -> dict[str, TypeFacts]:
    """Return all facts of instance types, by name; types that the region does not have are missing."""
    found = describe_types(aws, types)
    for named in _filters(types):
        offerings = aws.pages(
            "describe_instance_type_offerings",
            "InstanceTypeOfferings",
            TypeOffering,
            LocationType="availability-zone",
            Filters=named,
        )
        for name, facts in list(found.items()):
            zones = {one["Location"] for one in offerings if one["InstanceType"] == name}
            found[name] = replace(facts, zones=facts.zones | zones)
    return found


def if_allowed(look: Callable[[], _Answer], codes: Collection[str] = NOT_ALLOWED) -> _Answer | None:
    """Return the result of a query, or None if the credentials do not permit it."""
    try:
        return look()
    except AwsError as error:
        if error.code not in codes:
            raise
        return None
