"""``dtk link``: links a component to another one."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import JsonOption
from dtk.service.link_choice import chosen_link, write_link
from dtk.service.lookup import component_row, read_service, service_and_words

LINK_USAGE = "[SERVICE] COMPONENT TARGET [LINK]"


def link(
    words: Annotated[
        list[str],
        typer.Argument(metavar=LINK_USAGE, help="The component, its target, and the link's name if there are several."),
    ],
    as_json: JsonOption = False,
) -> None:
    """Link a component to another one.

    Write both as node/component. The next apply passes values along the link.
    Example: dtk link dask1 slaves/dask::worker master/dask::scheduler
    """
    service, rest = service_and_words(words, 2, 3, f"dtk link {LINK_USAGE}")
    inputs, found = read_service(service)
    base = component_row(found, rest[0], inputs.service.name)
    target = component_row(found, rest[1], inputs.service.name)
    chosen = chosen_link(found, base, rest[2] if len(rest) > 2 else None, target)
    write_link(inputs, base, chosen, target.path)
    print_edit_result(inputs.workspace, inputs.service.name, as_json=as_json)
