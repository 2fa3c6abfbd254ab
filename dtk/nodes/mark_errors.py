"""Errors about machines that carry a service's mark: another clone creates them, or some could not be queried."""

from __future__ import annotations

from collections.abc import Sequence

from dtk.errors import DtkError
from dtk.nodes.provider import MarkedMachine, ServiceIdentity


def rival_error(service: str, what: str) -> DtkError:
    """Return the error for machines that another clone is creating; ``what`` says which ones and since when."""
    return DtkError(
        f"another clone is creating the machines of service '{service}': {what}",
        hint="wait until it has finished, then adopt them: dtk list-nodes --orphans --adopt",
    )


def refuse_other_lineage(identity: ServiceIdentity, orphan: MarkedMachine) -> None:
    """Refuse to adopt a machine whose mark has another service's id and can't be changed from here.

    Raises:
        DtkError: names both ids, and the line that makes the machine the service's.
    """
    if orphan.lineage != identity.lineage:
        raise DtkError(
            f"{orphan.id} belongs to '{orphan.service}' with id {orphan.lineage}; '{identity.service}' here has id"
            f" {identity.lineage}",
            hint=f"if it is the same service, set 'id: {orphan.lineage}' in its service.yaml and commit the change",
        )


class UnaskedError(DtkError):
    """Some machines could not be queried for their owner; ``found`` are the matching ones among the others."""

    def __init__(self, message: str, found: Sequence[MarkedMachine] = (), *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.found = tuple(found)
