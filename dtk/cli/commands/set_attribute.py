"""``dtk set-attribute``: checks values against the service, then writes all of them to its file or none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from dtk.cli.edit_result import print_edit_result
from dtk.cli.options import JsonOption
from dtk.dsl.yaml.edit import set_attributes, unset_attribute
from dtk.errors import UsageError
from dtk.model.json_data import JsonObject
from dtk.model.suggestion import did_you_mean
from dtk.service.attribute_value import checked_values
from dtk.service.context import chosen_service, current_workspace
from dtk.service.lookup import service_and_words
from dtk.service.planning import Inputs, read_inputs
from dtk.service.staging import values_of

USAGE = "dtk set-attribute [SERVICE] PATH VALUE, or several PATH=VALUE"


UNSET_USAGE = "dtk set-attribute [SERVICE] PATH --unset"
# A title may contain an equals sign, which is then part of the path.
_PAIR = re.compile(r"((?:[^\[\]=]|\[[^\]]*\])+)=(.*)", re.DOTALL)


def set_attribute(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVICE] PATH [VALUE]", help="The attribute's path and value; PATH=VALUE sets several."
        ),
    ] = None,
    unset: Annotated[
        bool, typer.Option("--unset", "-u", help="Remove the value; the assembly's value applies again.")
    ] = False,
    values: Annotated[
        Path | None,
        typer.Option("--values", metavar="FILE", help="YAML: values by path; PATH=VALUE wins.", exists=True),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Set attributes of a service.

    Changes services/NAME/service.yaml; nodes change with the next apply. Several attributes are set together or, if
    one value is invalid, not at all. Paths are attribute, node/attribute, node/component/attribute or
    component/attribute.
    Examples: dtk set-attribute dask1 slaves/cardinality=4 scheduler/port=8800
    Example: dtk set-attribute dask1 slaves/cardinality 4
    """
    if unset and values:
        raise UsageError("--unset cannot be used with --values", hint=UNSET_USAGE)
    workspace = current_workspace()
    service, settings = _read(words or [], values, unset=unset)
    name = chosen_service(workspace, service)
    inputs = read_inputs(workspace, name)
    if unset:
        _unset(inputs, next(iter(settings)))
    else:
        set_attributes(workspace.service_file(name), checked_values(inputs, settings))
    print_edit_result(workspace, name, as_json=as_json)


def _read(words: list[str], file: Path | None, *, unset: bool) -> tuple[str | None, JsonObject]:
    """Return the service, if given, and values by path; with ``unset``, one path with the value None."""
    if unset:
        service, (path,) = service_and_words(words, 1, 1, UNSET_USAGE)
        return service, {path: None}
    settings = values_of(file) if file else {}
    service, pairs = _pairs(words)
    if pairs is not None and (pairs or file):
        return service, {**settings, **pairs}
    service, (path, value) = service_and_words(words, 2, 2, USAGE)
    return service, {**settings, path: value}


def _pairs(words: list[str]) -> tuple[str | None, JsonObject | None]:
    """Parse ``[SERVICE] PATH=VALUE…`` into the service and the values; the values are None for any other form."""
    named = bool(words) and words[0] in current_workspace().service_names()
    found = [_PAIR.fullmatch(word) for word in (words[1:] if named else words)]
    pairs: JsonObject = {match[1]: match[2] for match in found if match}
    return (words[0] if named else None), (pairs if all(found) else None)


def _unset(inputs: Inputs, path: str) -> None:
    if not unset_attribute(inputs.workspace.service_file(inputs.service.name), path):
        hint = did_you_mean(path, inputs.service.attributes, f"dtk list-attributes {inputs.service.name}")
        raise UsageError(f"'{path}' is not set in service '{inputs.service.name}'", hint=hint)
