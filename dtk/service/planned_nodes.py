"""The nodes that a service's files define and that do not exist yet."""

from __future__ import annotations

from dtk.dsl.cache import keep, key_of, recall
from dtk.dsl.catalog import load_catalog
from dtk.dsl.service import load_service
from dtk.errors import DtkError
from dtk.model.names import node_order
from dtk.state.model import State
from dtk.state.workspace import Workspace

PLANNED = "planned"
"""The status of a node that exists only in the service's files."""


def planned_nodes(workspace: Workspace, service: str, state: State) -> list[str]:
    """Return the nodes that the next plan would create, in order; none if the files can't be read.

    Existing nodes are listed regardless of the files; errors in them are reported by ``dtk validate``.
    """
    try:
        wanted = _wanted(workspace, service)
    except DtkError:
        return []
    return sorted((node for node in wanted if node not in state.nodes), key=node_order)


def _wanted(workspace: Workspace, name: str) -> tuple[str, ...]:
    """Return the names of the nodes that a service's files define; cached until one of the files changes.

    Raises:
        DtkError: the files can't be read.
    """
    service = load_service(workspace.service_file(name), workspace.root)
    modules = load_catalog(workspace).with_dependencies(service.module)
    key = key_of("planned nodes", service.digest, *(f"{one.name} {one.digest}" for one in modules.values()))
    kept = recall(key, tuple)
    if kept is not None:
        return kept
    # Imported late: a listing with cached results needs neither the compiler nor what it loads.
    from dtk.plan.resolve.service import topology_of  # noqa: PLC0415
    from dtk.service.planning import read_inputs  # noqa: PLC0415

    wanted = tuple(topology_of(read_inputs(workspace, name).request()).nodes)
    keep(key, wanted)
    return wanted
