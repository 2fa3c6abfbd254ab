"""A service as a picture: its topology, its links and the stages of its plan."""

from __future__ import annotations

from dtk.plan.compile import outlined_stages, resolve_for_plan
from dtk.plan.resolve.links import build_links
from dtk.plan.resolve.topology import build_topology
from dtk.plan.resolve.violations import unplannable
from dtk.service.planning import read_inputs
from dtk.state.workspace import Workspace
from dtk.views.picture import Arrow, Picture, arrows_of, picture_of_service


def service_picture(workspace: Workspace, name: str) -> Picture:
    """Return the picture of a service as its files define it.

    Raises:
        InvalidError: the service has violations; all of them are listed.
    """
    request = read_inputs(workspace, name).request(scope="all")
    resolved = resolve_for_plan(request)
    if resolved.problems:
        raise unplannable(name, resolved.problems)
    return picture_of_service(name, resolved.topology, resolved.links, outlined_stages(request, resolved))


def service_arrows(workspace: Workspace, name: str) -> tuple[Arrow, ...]:
    """Return which component of a service uses which."""
    inputs = read_inputs(workspace, name)
    assembly = inputs.modules[inputs.service.module].assemblies[inputs.service.assembly]
    return arrows_of(build_links(build_topology(inputs.service, assembly, inputs.modules))[0])
