"""``dtk link`` and ``dtk unlink``: which component another one is linked to, where it may be one of several."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.edited import say_changed
from dtk.cli.options import JsonOption
from dtk.dsl.yaml.edit import set_entry
from dtk.errors import UsageError
from dtk.plan.resolve.service import ComponentRow, LinkRow, Present, link_rows
from dtk.service.inspected import component_row, read_service, service_and_words
from dtk.service.planning import Inputs

LINK_USAGE = "[SERVICE] COMPONENT TARGET [LINK]"
UNLINK_USAGE = "[SERVICE] COMPONENT [LINK]"


def link(
    words: Annotated[
        list[str], typer.Argument(metavar=LINK_USAGE, help="What to link, to what; the link's name if it has several.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Link a component to another one.

    Both are written node/component. Values then flow along the link at the next apply.
    Example: dtk link dask1 slaves/dask::worker master/dask::scheduler
    """
    service, rest = service_and_words(words, 2, 3, f"dtk link {LINK_USAGE}")
    inputs, found = read_service(service)
    base = component_row(found, rest[0], inputs.service.name)
    target = component_row(found, rest[1], inputs.service.name)
    chosen = _chosen(found, base, rest[2] if len(rest) > 2 else None, target)
    _write(inputs, base, chosen, target.path, as_json=as_json)


def unlink(
    words: Annotated[
        list[str], typer.Argument(metavar=UNLINK_USAGE, help="What to unlink; the link's name if it has several.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Take a component's link away.

    A required link must lead somewhere before anything runs. Without its line in service.yaml dtk chooses again.
    Example: dtk unlink dask1 slaves/dask::worker
    """
    service, rest = service_and_words(words, 1, 2, f"dtk unlink {UNLINK_USAGE}")
    inputs, found = read_service(service)
    base = component_row(found, rest[0], inputs.service.name)
    chosen = _chosen(found, base, rest[1] if len(rest) > 1 else None, None)
    if not chosen.satisfied_by:
        raise UsageError(f"link '{chosen.name}' of '{base.path}' leads nowhere", hint="dtk list-links")
    _write(inputs, base, chosen, None, as_json=as_json)


def _chosen(found: Present, base: ComponentRow, name: str | None, target: ComponentRow | None) -> LinkRow:
    """Return the one link of a component that is meant: by its name, else by the target's type, else the only one."""
    rows = [row for row in link_rows(found) if row.base == base.path]
    fitting = [
        row for row in rows if (name is None or row.name == name) and (target is None or row.type == target.type)
    ]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(row.name for row in rows) or "none"
    if fitting:
        raise UsageError(f"which link of '{base.path}'? it has {names}", hint="name it behind the components")
    to = f" to '{target.path}'" if target else ""
    raise UsageError(f"'{base.path}' has no link{f' {name!r}' if name else ''}{to}", hint=f"its links: {names}")


def _write(inputs: Inputs, base: ComponentRow, chosen: LinkRow, target: str | None, *, as_json: bool) -> None:
    file = inputs.workspace.service_file(inputs.service.name)
    set_entry(file, "links", f"{base.path}/{chosen.name}", target)
    say_changed(inputs.workspace, inputs.service.name, as_json=as_json)
