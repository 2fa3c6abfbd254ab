"""``dtk unlink``: removes a component's link."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import JsonOption
from dtk.errors import UsageError
from dtk.service.link_choice import chosen_link, write_link
from dtk.service.lookup import component_row, read_service, service_and_words

UNLINK_USAGE = "[SERVICE] COMPONENT [LINK]"


def unlink(
    words: Annotated[
        list[str], typer.Argument(metavar=UNLINK_USAGE, help="The component, and the link's name if it has several.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Remove a component's link.

    A required link must have a target before anything runs. If its line is removed from service.yaml, dtk chooses
    the target again. Example: dtk unlink dask1 slaves/dask::worker
    """
    service, rest = service_and_words(words, 1, 2, f"dtk unlink {UNLINK_USAGE}")
    inputs, found = read_service(service)
    base = component_row(found, rest[0], inputs.service.name)
    chosen = chosen_link(found, base, rest[1] if len(rest) > 1 else None, None)
    if not chosen.satisfied_by:
        raise UsageError(f"link '{chosen.name}' of '{base.path}' has no target", hint="dtk list-links")
    write_link(inputs, base, chosen, None)
    print_edit_result(inputs.workspace, inputs.service.name, as_json=as_json)
