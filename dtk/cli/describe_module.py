"""What ``dtk info`` prints about a module or an assembly."""

from __future__ import annotations

import typer

from dtk.cli.output import print_json
from dtk.dsl.catalog import Catalog, load_catalog
from dtk.model.json_data import Json
from dtk.model.module import Assembly, Module
from dtk.model.names import assembly_name, module_name
from dtk.service.context import current_workspace
from dtk.state.pinned import load_pins
from dtk.views.module_description import (
    as_text,
    assembly_document,
    assembly_page,
    module_document,
    module_markdown,
)


def module_info(name: str, *, markdown: bool, as_json: bool) -> None:
    """Print the content of a module (``ns:name``) or an assembly (``ns:name/assembly``)."""
    module, assembly = _found(load_catalog(current_workspace()), name)
    if markdown:
        typer.echo(assembly_page(assembly) if assembly else module_markdown(module), nl=False)
        return
    document = assembly_document(assembly) if assembly else _with_source(module)
    if as_json:
        print_json(document)
    else:
        typer.echo("\n".join(as_text(document)))


def _found(catalog: Catalog, name: str) -> tuple[Module, Assembly | None]:
    named = assembly_name(name)
    if named is None or module_name(name) in catalog.names():
        return catalog.find(name), None
    return catalog.find_assembly(*named)


def _with_source(module: Module) -> dict[str, Json]:
    document = module_document(module)
    pin = load_pins(current_workspace().lock_file).get(module.name)
    source = {"source": pin.shown, "commit": pin.commit} if pin and pin.tree == module.digest else {}
    return {**document, **source}
