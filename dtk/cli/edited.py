"""What edits of a service have in common: tried before they are made, and what they say when they are done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

import typer

from dtk.cli.output import print_json, shown_path
from dtk.dsl.service import load_service
from dtk.dsl.yaml.edit import unset_entry
from dtk.dsl.yaml.edit_list import remove_item
from dtk.plan.compile import resolve
from dtk.service.planning import Inputs, read_inputs
from dtk.state.workspace import Workspace


def say_changed(workspace: Workspace, service: str, *, as_json: bool = False) -> None:
    """Say that a service's file was changed, and what to do next: mend what is missing, else plan."""
    problems = resolve(read_inputs(workspace, service).request()).problems
    if as_json:
        file = str(workspace.service_file(service).relative_to(workspace.root))
        print_json({"status": "OK", "service": service, "file": file, "violations": [str(p) for p in problems]})
        return
    typer.echo("Status: OK")
    changed = f"changed {shown_path(workspace.service_file(service))}"
    if problems:
        many = f"{len(problems)} violation{'s' if len(problems) > 1 else ''}"
        typer.echo(f"{changed}; {many} to mend before it can be planned: dtk list-violations {service}")
    else:
        typer.echo(f"{changed}; next: dtk plan {service}")


def try_edit(inputs: Inputs, edit: Callable[[Path], object]) -> None:
    """Make an edit on a copy of a service's file, so that one which would make it invalid changes nothing.

    Raises:
        InvalidError: what would be wrong, at its place in the file as it would be.
    """
    file = inputs.workspace.service_file(inputs.service.name)
    with TemporaryDirectory() as folder:
        copy = Path(folder) / file.relative_to(inputs.workspace.root)
        copy.parent.mkdir(parents=True)
        copyfile(file, copy)
        edit(copy)
        load_service(copy, Path(folder))


def forget(inputs: Inputs, belongs: Callable[[str], bool]) -> None:
    """Take away the values and links that were set for something that is no longer there.

    Args:
        inputs: the service.
        belongs: says of a path (``node/component/attribute``) whether it goes.
    """
    file = inputs.workspace.service_file(inputs.service.name)
    for section, paths in (("attributes", inputs.service.attributes), ("links", inputs.service.links)):
        for path in paths:
            if belongs(path):
                unset_entry(file, section, path)
    for text in inputs.service.removed:
        if belongs(text):
            remove_item(file, ("removed",), text)
