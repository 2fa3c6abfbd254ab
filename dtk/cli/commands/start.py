"""``dtk start``: powers a service's nodes on."""

from __future__ import annotations

from dtk.cli.options import DetachOption, LockWaitOption, ServiceArgument
from dtk.cli.power import NodeArgument, run_power


def start(
    service: ServiceArgument = None,
    node: NodeArgument = None,
    detach: DetachOption = False,
    lock_wait: LockWaitOption = "0s",
) -> None:
    """Power on a service's nodes.

    Updates their addresses but configures nothing: if addresses have changed, run dtk apply.
    Example: dtk start dask1
    """
    run_power("start", service, node, detach=detach, lock_wait=lock_wait)
