"""Prepares the creation of instances: looks up images and subnets, creates key pair and security group."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from dtk.nodes.ec2.access import ensure_access
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.call import LaunchContext, MachineRequest
from dtk.nodes.ec2.firewall import ensure_group, open_ports
from dtk.nodes.ec2.images import Image, resolve_image
from dtk.nodes.ec2.location import ACCOUNT, REGION
from dtk.nodes.ec2.network import Subnet, find_subnets
from dtk.nodes.ec2.settings import Ec2Settings, MachineSpec
from dtk.nodes.ec2.ssh_rules import allow_ssh
from dtk.nodes.ec2.tags import service_tags
from dtk.nodes.provider import OpenPort, ServiceIdentity


class Preparation:
    """Cached lookups: each image and each subnet is looked up once."""

    def __init__(self, aws: Aws, settings: Ec2Settings) -> None:
        self._aws = aws
        self._settings = settings
        self._images: dict[tuple[str, str], Image] = {}
        self._subnets: dict[tuple[tuple[str, ...], str], list[Subnet]] = {}

    def machine_request(self, spec: MachineSpec) -> MachineRequest:
        """Return a node's request with its image and its subnets resolved.

        Raises:
            InvalidError: the image or a subnet does not exist.
        """
        image = (spec.image, spec.image_id)
        if image not in self._images:
            self._images[image] = resolve_image(self._aws, self._settings.images, *image)
        place = (spec.subnets, spec.availability_zone)
        if place not in self._subnets:
            self._subnets[place] = find_subnets(self._aws, self._settings, *place)
        return MachineRequest(spec, self._images[image], self._subnets[place])

    def launch_context(
        self, identity: ServiceIdentity, machines: Iterable[MachineRequest], *, is_first: bool
    ) -> LaunchContext:
        """Return what all instances of a service have in common; create its key pair and security group if missing.

        Args:
            identity: the service.
            machines: the nodes' requests; the group is in the VPC of the first, and opens the ports of all.
            is_first: whether this state knows of no instances of the service yet.
        """
        aws, settings = self._aws, self._settings
        tags = service_tags(identity)
        shared = {**settings.tags, **tags}
        access = ensure_access(aws, settings, identity, shared, is_first=is_first)
        groups = settings.security_groups or (self._own_group(identity, shared, list(machines)),)
        return LaunchContext(settings, identity, groups, access, tags, {REGION: aws.region, ACCOUNT: aws.account})

    def _own_group(self, identity: ServiceIdentity, tags: Mapping[str, str], machines: Sequence[MachineRequest]) -> str:
        subnet = machines[0].subnets[0]
        group = ensure_group(self._aws, identity, subnet, tags)
        allow_ssh(self._aws, self._settings, group, subnet.cidr.partition("/")[0], locked=True)
        ports = {port for machine in machines for port in machine.spec.ports}
        open_ports(self._aws, group, (OpenPort(port, source) for port in ports for source in self._settings.open_to))
        return group["GroupId"]


def alike(machines: Mapping[str, MachineRequest]) -> list[list[str]]:
    """Group nodes with equal requests: each group needs one call, or a few."""
    groups: dict[str, list[str]] = {}
    for node, machine in machines.items():
        asked = [asdict(machine.spec), [subnet.id for subnet in machine.subnets]]
        groups.setdefault(json.dumps(asked, sort_keys=True, default=str), []).append(node)
    return list(groups.values())
