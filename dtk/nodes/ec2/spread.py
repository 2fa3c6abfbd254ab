"""Chooses the availability zone of each group member, so that the failure of a zone affects only part of a group."""

from __future__ import annotations

from dataclasses import replace

from dtk.model.names import split_member
from dtk.nodes.ec2.call import MachineRequest
from dtk.nodes.ec2.settings import Ec2Settings

ZONES, NOT_SPREAD = "availability_zone", "none"
"""Values of a target's ``spread``; without it, members are spread if no subnet is named."""


def spread_out(settings: Ec2Settings, node: str, machine: MachineRequest) -> MachineRequest:
    """Return a node's request with the subnets of its own zone first; the others serve if there is no capacity.

    Member n of a group is in zone (n - 1) mod k, of the k zones that have subnets and its instance types.
    """
    member = split_member(node)
    is_spread = settings.spread == ZONES or not (settings.spread or machine.spec.subnets)
    if member is None or not is_spread or machine.spec.availability_zone:
        return machine
    offered = {zone for _, zone in machine.offered} if machine.offered is not None else None
    zones = sorted(
        {one.availability_zone for one in machine.subnets if offered is None or one.availability_zone in offered}
    )
    own = zones[(member[1] - 1) % len(zones)] if zones else ""
    # Sorting is stable: within a zone, the order stays the same.
    return replace(machine, subnets=sorted(machine.subnets, key=lambda subnet: subnet.availability_zone != own))
