"""Selects the link that a command line names and writes its target to the service's file."""

from __future__ import annotations

from dtk.dsl.yaml.edit import set_entry
from dtk.errors import UsageError
from dtk.plan.resolve.rows import ComponentRow, LinkRow, link_rows
from dtk.plan.resolve.service import ResolvedService
from dtk.service.planning import Inputs


def chosen_link(found: ResolvedService, base: ComponentRow, name: str | None, target: ComponentRow | None) -> LinkRow:
    """Return the one link of a component that matches: by name, else by the target's type, else the only one.

    Raises:
        UsageError: no link matches, or more than one.
    """
    rows = [row for row in link_rows(found) if row.base == base.path]
    fitting = [
        row for row in rows if (name is None or row.name == name) and (target is None or row.type == target.type)
    ]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(row.name for row in rows) or "none"
    if fitting:
        raise UsageError(
            f"'{base.path}' has several links: {names}", hint="add the name of the link after the components"
        )
    to = f" to '{target.path}'" if target else ""
    raise UsageError(f"'{base.path}' has no link{f' {name!r}' if name else ''}{to}", hint=f"existing links: {names}")


def write_link(inputs: Inputs, base: ComponentRow, chosen: LinkRow, target: str | None) -> None:
    """Write the component that a link leads to, or None for no component."""
    file = inputs.workspace.service_file(inputs.service.name)
    set_entry(file, "links", f"{base.path}/{chosen.name}", target)
