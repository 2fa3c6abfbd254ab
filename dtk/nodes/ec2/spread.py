"""In which availability zone each member of a group stands, so that one that fails takes a part of the group alone."""

from __future__ import annotations

from dataclasses import replace

from dtk.model.names import split_member
from dtk.nodes.ec2.call import MachineRequest
from dtk.nodes.ec2.settings import Ec2Settings

ZONES, NOT_SPREAD = "availability_zone", "none"
"""What a target's ``spread`` may say; left out, members are spread where no subnet is named."""


def spread_out(settings: Ec2Settings, node: str, machine: MachineRequest) -> MachineRequest:
    """Return what a node asks for with the subnets of its own zone first; the others follow for lack of capacity.

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
    # Sorting is stable: within the zones the order stays.
    return replace(machine, subnets=sorted(machine.subnets, key=lambda subnet: subnet.availability_zone != own))
