"""Checks before anything is created that the account's vCPU quotas suffice for the new instances that run on demand.

Quotas are per region and family of instance types. If a quota can't be read, EC2 itself refuses what exceeds it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dtk.errors import DtkError, InvalidError
from dtk.nodes.ec2.answers import QuotaAnswer, Reservation
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.call import MachineRequest
from dtk.nodes.ec2.instances import to_instance
from dtk.nodes.ec2.launch import noting
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.provider import NodeRequest, Record

SERVICE = "service-quotas"
UNCHECKED = "quota_unchecked"
"""The name in the event log of the reason why no quota was checked."""
_STANDARD = ("L-1216C47A", "standard instances (A, C, D, H, I, M, R, T, Z)")
_QUOTAS = {
    "dl": ("L-6E869C2A", "DL instances"),
    "f": ("L-74FC7D96", "F instances"),
    "g": ("L-DB2E81BA", "G and VT instances"),
    "hpc": ("L-F7808C92", "HPC instances"),
    "inf": ("L-1945791B", "Inf instances"),
    "p": ("L-417A185B", "P instances"),
    "trn": ("L-2C3B7624", "Trn instances"),
    "u": ("L-43DA4232", "high memory instances"),
    "vt": ("L-DB2E81BA", "G and VT instances"),
    "x": ("L-7295265B", "X instances"),
    **dict.fromkeys(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), _STANDARD),
}
"""Letters of an instance type → code and name of its family's quota: "Running On-Demand … instances", in vCPUs."""
_LETTERS = re.compile(r"[a-z]+")


def within_quotas(
    aws: Aws,
    settings: Ec2Settings,
    machines: Mapping[str, MachineRequest],
    requests: Iterable[NodeRequest],
    record: Record,
) -> Record:
    """Refuse new machines that exceed the account's quotas; errors are those of ``check_quota``.

    Args:
        aws: the AWS services.
        settings: the target's settings.
        machines: the request of each node.
        requests: the nodes without a known instance.
        record: records calls.

    Returns:
        ``record``; if a quota could not be checked, the records have the reason.
    """
    # Instances that an unanswered call may have created would count as running and as requested.
    new = {request.node: machines[request.node] for request in requests if not request.known}
    unchecked = check_quota(aws, settings, new)
    return noting(record, {UNCHECKED: unchecked}) if unchecked else record


def check_quota(aws: Aws, settings: Ec2Settings, machines: Mapping[str, MachineRequest]) -> str:
    """Refuse machines that need more vCPUs than the account's quotas leave.

    Spot instances are not checked: without capacity for them, they are created on demand or refused one by one.

    Args:
        aws: the AWS services.
        settings: the target's settings.
        machines: the requests of the nodes to create, with their vCPUs.

    Returns:
        Why a quota was not checked, "" if all were.

    Raises:
        InvalidError: a quota does not suffice; names it, the numbers, and the command that requests more.
    """
    wanted: dict[tuple[str, str], dict[str, int]] = {}
    for node, machine in machines.items():
        quota = quota_of(machine.spec.instance_types[0])
        if quota and machine.vcpus and not machine.spec.spot:
            wanted.setdefault(quota, {})[node] = machine.vcpus
    if not wanted:
        return ""
    if settings.endpoint_urls and SERVICE not in settings.endpoint_urls:
        return "the target's endpoint_url has no endpoint of service-quotas"
    try:
        limits = {quota: _limit(aws, quota[0]) for quota in wanted}
        running = _running(aws)
    except DtkError as error:
        return error.message
    for quota, needs in wanted.items():
        _check(aws, quota, limits[quota], running.get(quota, 0), needs)
    return ""


def quota_of(type_: str) -> tuple[str, str] | None:
    """Return code and name of the quota that an instance type counts against; None for types without such a quota."""
    letters = _LETTERS.match(type_)
    return _QUOTAS.get(letters.group()) if letters else None


def _check(aws: Aws, quota: tuple[str, str], limit: int, running: int, needs: Mapping[str, int]) -> None:
    code, family = quota
    needed = sum(needs.values())
    if running + needed <= limit:
        return
    many = f"{len(needs)} nodes need" if len(needs) > 1 else f"node '{next(iter(needs))}' needs"
    raise InvalidError(
        f"{many} {needed} vCPUs of {family}, and the account's quota in {aws.region} leaves {max(limit - running, 0)}:"
        f" {running} of {limit} are in use ({code})",
        hint=f"terminate instances that are not needed, choose smaller types, or ask AWS for more: aws {SERVICE}"
        f" request-service-quota-increase --service-code ec2 --quota-code {code} --desired-value {running + needed}"
        f" --region {aws.region}",
    )


def _limit(aws: Aws, code: str) -> int:
    answer = aws.ask("get_service_quota", QuotaAnswer, service="service-quotas", ServiceCode="ec2", QuotaCode=code)
    return int(answer["Quota"]["Value"])


def _running(aws: Aws) -> dict[tuple[str, str], int]:
    """Return the vCPUs of all instances of the account that run on demand in the region, by quota."""
    states = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    return _in_use(aws.pages("describe_instances", "Reservations", Reservation, Filters=states))


def _in_use(reservations: Iterable[Reservation]) -> dict[tuple[str, str], int]:
    used: dict[tuple[str, str], int] = {}
    for reservation in reservations:
        for data in reservation.get("Instances", []):
            quota, options = quota_of(data.get("InstanceType", "")), data.get("CpuOptions", {})
            if quota and data.get("InstanceLifecycle") != "spot" and to_instance(data, "").exists:
                cores, threads = options.get("CoreCount", 0), options.get("ThreadsPerCore", 0)
                used[quota] = used.get(quota, 0) + cores * threads
    return used
