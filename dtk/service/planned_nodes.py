"""The nodes that a service's files say, and that do not exist yet."""

from __future__ import annotations

from dtk.errors import DtkError
from dtk.model.names import node_order
from dtk.state.model import State
from dtk.state.workspace import Workspace

PLANNED = "planned"
"""The status of a node that only the service's files know."""


def planned_nodes(workspace: Workspace, service: str, state: State) -> list[str]:
    """Return the nodes that the next plan would make, by their order; none where the files can't be read.

    What exists is listed whatever the files hold: saying what is wrong with them is for ``dtk validate``.
    """
    from dtk.plan.resolve.service import topology_of  # noqa: PLC0415 - with the compiler and the YAML parser
    from dtk.service.planning import read_inputs  # noqa: PLC0415

    try:
        wanted = topology_of(read_inputs(workspace, service).request()).nodes
    except DtkError:
        return []
    return sorted((node for node in wanted if node not in state.nodes), key=node_order)
