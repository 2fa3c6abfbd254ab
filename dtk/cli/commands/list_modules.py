"""``dtk list-modules``: all modules, where they come from, and whether they can be parsed."""

from __future__ import annotations

import typer

from dtk.cli.options import JsonOption
from dtk.cli.output import print_json
from dtk.dsl.catalog import Catalog, load_catalog
from dtk.errors import InvalidError
from dtk.service.context import current_workspace
from dtk.state.pinned import Pin, load_pins
from dtk.state.workspace import Workspace
from dtk.views.listing_table import format_table, stable_id

_BUILT_IN = "built-in"


def list_modules(as_json: JsonOption = False) -> None:
    """List modules: those of this workspace, installed ones, and those that come with dtk.

    Example: dtk list-modules
    """
    workspace = current_workspace()
    catalog, pins = load_catalog(workspace), load_pins(workspace.lock_file)
    modules = [(name, _remote(workspace, name, pins), _parsed(catalog, name)) for name in catalog.names()]
    if as_json:
        print_json([_document(name, remote, parsed, pins.get(name)) for name, remote, parsed in modules])
        return
    rows = [[stable_id(name), name.replace("/", ":"), remote, parsed] for name, remote, parsed in modules]
    typer.echo(format_table(["id", "name", "remote(s)", "dsl_parsed"], rows), nl=False)


def _remote(workspace: Workspace, name: str, pins: dict[str, Pin]) -> str:
    """Return where a module comes from; "" for the workspace's own, which take precedence in the catalog, too."""
    if (workspace.modules / name).is_dir():
        return ""
    return pins[name].shown if name in pins else _BUILT_IN


def _parsed(catalog: Catalog, name: str) -> bool:
    try:
        catalog.find(name)
    except InvalidError:
        return False
    return True


def _document(name: str, remote: str, parsed: bool, pin: Pin | None) -> dict[str, object]:
    pinned = {"commit": pin.commit, "tree": pin.tree, "version": pin.version} if pin else {}
    return {"module": name, "remote": remote, "dsl_parsed": parsed, **pinned}
