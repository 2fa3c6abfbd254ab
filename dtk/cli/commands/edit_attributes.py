"""``dtk edit-attributes``: opens the editable attributes in an editor, and checks all of them before saving any."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import AttributeOption, ComponentOption, JsonOption, NodeOption, ServiceArgument
from dtk.cli.output import print_json, says_yes, shown_path
from dtk.disk.files import make_private_folder, replace_file
from dtk.dsl.yaml.document import Document, parse_document
from dtk.dsl.yaml.edit import set_attribute as write_attribute
from dtk.dsl.yaml.edit import unset_attribute
from dtk.errors import DtkError, InvalidError, Problem, UsageError
from dtk.model.json_data import Json
from dtk.model.suggestion import nearest
from dtk.plan.resolve.rows import AttributeRow, attribute_rows
from dtk.service.attribute_rows import filtered
from dtk.service.attribute_value import checked_value
from dtk.service.lookup import read_service
from dtk.service.planning import Inputs
from dtk.views.attribute_text import rows_yaml

KEPT = "edit-attributes.yaml"
_HELP = (
    "# Attributes of service {service}: edit values, save the file and close the editor. Empty values are removed.\n"
    "# Lines that begin with # are ignored; nothing is saved until every value is valid.\n"
)


def edit_attributes(
    service: ServiceArgument = None,
    node: NodeOption = None,
    component: ComponentOption = None,
    attribute: AttributeOption = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", "-f", metavar="FILE", help="Read the edited text from this file instead of opening an editor."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Edit a service's attributes in $EDITOR.

    Computed, constant and linked attributes are not listed. If a value is invalid, nothing changes and your text is
    kept. Example: dtk edit-attributes dask1 --node slaves
    """
    inputs, found = read_service(service)
    rows = [row for row in attribute_rows(found) if row.is_editable and not row.secret]
    rows = filtered(found, rows, node, component, attribute)
    before = _HELP.format(service=inputs.service.name) + rows_yaml(rows)
    kept = inputs.workspace.service_folder(inputs.service.name) / KEPT
    text = _read(file) if file else _edited(kept, before)
    changes = _changes_until_right(inputs, rows, kept, text, ask=file is None)
    kept.unlink(missing_ok=True)
    if not changes:
        print_json({"status": "OK", "changed": False}) if as_json else typer.echo("Nothing was changed.")
        return
    for path, value in changes.items():
        _write(inputs, path, value)
    print_edit_result(inputs.workspace, inputs.service.name, as_json=as_json)


def _write(inputs: Inputs, path: str, value: object) -> None:
    file = inputs.workspace.service_file(inputs.service.name)
    if value is None:
        unset_attribute(file, path)
    else:
        write_attribute(file, path, value)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} can't be read: {error}") from None


def _edited(file: Path, text: str) -> str:
    """Open a text in the editor and return the saved text."""
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    make_private_folder(file.parent)
    replace_file(file, text)
    try:
        done = subprocess.run([*words, str(file)], check=False)
    except OSError as error:
        raise DtkError(f"the editor '{words[0]}' can't be started: {error.strerror}", hint="set EDITOR") from None
    if done.returncode:
        raise DtkError(f"the editor exited with code {done.returncode}; nothing was changed", hint=_kept_hint(file))
    return _read(file)


def _kept_hint(file: Path) -> str:
    return f"your text is kept in {shown_path(file)}: fix it, then run: dtk edit-attributes --file {shown_path(file)}"


def _changes_until_right(
    inputs: Inputs, rows: list[AttributeRow], kept: Path, text: str, *, ask: bool
) -> dict[str, object]:
    """Return the changes; if they have errors, offer the editor again at a terminal."""
    while True:
        try:
            return _changes(inputs, rows, text)
        except InvalidError as error:
            if not (ask and sys.stdin.isatty()):
                hint = _kept_hint(kept) if ask else "nothing was changed"
                raise InvalidError(error.message, error.problems, hint=hint) from None
            typer.echo("\n".join([error.message, *map(str, error.problems)]), err=True)
            if not says_yes("Edit again?", default="yes"):
                raise InvalidError(error.message, error.problems, hint=_kept_hint(kept)) from None
            text = _edited(kept, text)


def _changes(inputs: Inputs, rows: list[AttributeRow], text: str) -> dict[str, object]:
    """Return the typed values that differ from those shown, by path; None for removed ones.

    Raises:
        InvalidError: the text is not YAML, names an attribute that was not shown, or has a value of the wrong type; all
            errors are listed.
    """
    document = parse_document(text, "edited attributes")
    shown = {row.path: row for row in rows}
    before = dict(_leaves(parse_document(rows_yaml(rows), "shown")))
    problems: list[Problem] = []
    changes: dict[str, object] = {}
    for path, (document_path, value) in _leaves(document):
        if path not in shown:
            where, near = document.locate_key(document_path), nearest(path, shown)
            problems.append(Problem(f"'{path}' is not an attribute that can be edited here", where, nearest=near))
        elif value != before[path][1]:
            _take(inputs, document, document_path, path, value, changes, problems)
    if problems:
        raise InvalidError("the edited attributes are invalid", problems)
    return changes


def _take(
    inputs: Inputs,
    document: Document,
    document_path: tuple[str | int, ...],
    path: str,
    value: Any,
    changes: dict[str, object],
    problems: list[Problem],
) -> None:
    try:
        changes[path] = None if value is None else checked_value(inputs, path, value)
    except UsageError as error:
        problems.append(Problem(error.message, document.locate(document_path)))


def _leaves(document: Document) -> Iterator[tuple[str, tuple[tuple[str | int, ...], Json]]]:
    """Yield attribute paths with their document paths and values: everything below an ``attributes:`` key."""

    def walk(
        value: Json, document_path: tuple[str | int, ...]
    ) -> Iterator[tuple[str, tuple[tuple[str | int, ...], Json]]]:
        for key, item in value.items() if isinstance(value, dict) else ():
            if document_path and document_path[-1] == "attributes":
                names = [
                    str(part).rstrip("/") for part in document_path if part not in ("attributes", "components", "nodes")
                ]
                yield "/".join([*names, str(key)]), ((*document_path, key), item)
            else:
                yield from walk(item, (*document_path, key))

    yield from walk(document.data, ())
