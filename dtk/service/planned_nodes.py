"""The nodes that a service's files say, and that do not exist yet."""

from __future__ import annotations

from dtk.dsl.cache import keep, key_of, recall
from dtk.dsl.catalog import load_catalog
from dtk.dsl.service import load_service
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
    try:
        wanted = _wanted(workspace, service)
    except DtkError:
        return []
    return sorted((node for node in wanted if node not in state.nodes), key=node_order)


def _wanted(workspace: Workspace, name: str) -> tuple[str, ...]:
    """Return the names of the nodes that a service's files say, kept as long as none of them changes.

    Raises:
        DtkError: they can't be read.
    """
    service = load_service(workspace.service_file(name), workspace.root)
    modules = load_catalog(workspace).with_dependencies(service.module)
    key = key_of("planned nodes", service.digest, *(f"{one.name} {one.digest}" for one in modules.values()))
    kept = recall(key, tuple)
    if kept is not None:
        return kept
    # A listing of services that have been listed before needs neither the compiler nor what it loads.
    from dtk.plan.resolve.service import topology_of  # noqa: PLC0415
    from dtk.service.planning import read_inputs  # noqa: PLC0415

    wanted = tuple(topology_of(read_inputs(workspace, name).request()).nodes)
    keep(key, wanted)
    return wanted
