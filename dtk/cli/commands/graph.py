"""``dtk graph``: a service's nodes, components and stages as a picture."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.options import ServiceArgument
from dtk.cli.output import write_file
from dtk.plan.resolve.links import build_links
from dtk.plan.resolve.topology import build_topology
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import make_plan, read_inputs
from dtk.state.workspace import Workspace
from dtk.views.graph_text import dot, mermaid
from dtk.views.picture import Arrow, Picture, arrows_of, picture_of_service
from dtk.views.picture_svg import picture_svg


class Format(StrEnum):
    """What a picture is written as."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


def graph(
    service: ServiceArgument = None,
    form: Annotated[
        Format, typer.Option("--format", "-f", help="For Markdown, Graphviz or a browser.")
    ] = Format.MERMAID,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Write it to a file.")] = Path("-"),
) -> None:
    """Draw a service's topology and the stages of its plan.

    Arrows lead from a component to the one it uses. The stages are those of dtk plan --all. Nothing is changed.
    Example: dtk graph dask1 --format svg --out dask1.svg
    """
    workspace = current_workspace()
    picture = service_picture(workspace, chosen_service(workspace, service))
    if form is Format.SVG:
        write_file(out, picture_svg(picture) + "\n")
    else:
        write_file(out, mermaid(picture) if form is Format.MERMAID else dot(picture))


def service_picture(workspace: Workspace, name: str) -> Picture:
    """Return the picture of a service as its files want it."""
    plan, inputs = make_plan(workspace, name, scope="all")
    assembly = inputs.modules[inputs.service.module].assemblies[inputs.service.assembly]
    topology = build_topology(inputs.service, assembly, inputs.modules)
    return picture_of_service(name, topology, build_links(topology)[0], plan.stages)


def service_arrows(workspace: Workspace, name: str) -> tuple[Arrow, ...]:
    """Return which component of a service uses which."""
    inputs = read_inputs(workspace, name)
    assembly = inputs.modules[inputs.service.module].assemblies[inputs.service.assembly]
    return arrows_of(build_links(build_topology(inputs.service, assembly, inputs.modules))[0])
