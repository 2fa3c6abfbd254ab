"""``dtk graph``: draws a service's nodes, components and stages."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.options import ServiceArgument
from dtk.cli.output import write_file
from dtk.cli.pictures import service_picture
from dtk.service.context import chosen_service, current_workspace
from dtk.views.graph_text import dot, mermaid
from dtk.views.picture_svg import picture_svg


class PictureFormat(StrEnum):
    """The format of a picture."""

    MERMAID = "mermaid"
    DOT = "dot"
    SVG = "svg"


def graph(
    service: ServiceArgument = None,
    form: Annotated[
        PictureFormat, typer.Option("--format", "-f", help="For Markdown, Graphviz or a browser.")
    ] = PictureFormat.MERMAID,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Write it to a file.")] = Path("-"),
) -> None:
    """Draw a service's topology and the stages of its plan.

    Arrows lead from a component to the one it uses. The stages are those of dtk plan --all. Nothing changes.
    Example: dtk graph dask1 --format svg --out dask1.svg
    """
    workspace = current_workspace()
    picture = service_picture(workspace, chosen_service(workspace, service))
    if form is PictureFormat.SVG:
        write_file(out, picture_svg(picture) + "\n")
    else:
        write_file(out, mermaid(picture) if form is PictureFormat.MERMAID else dot(picture))
