"""``dtk stop``: powers a service's nodes off."""

from __future__ import annotations

from dtk.cli.options import DetachOption, LockWaitOption, ServiceArgument
from dtk.cli.power import NodeArgument, run_power


def stop(
    service: ServiceArgument = None,
    node: NodeArgument = None,
    detach: DetachOption = False,
    lock_wait: LockWaitOption = "0s",
) -> None:
    """Power off a service's nodes; their disks are kept.

    Example: dtk stop dask1 slaves:2
    """
    run_power("stop", service, node, detach=detach, lock_wait=lock_wait)
