"""Stages a new service: writes its file with checked attributes, and begins its state."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dtk.dsl.catalog import load_catalog
from dtk.dsl.workspace import load_workspace
from dtk.dsl.yaml.edit import new_service
from dtk.dsl.yaml.edit import set_attribute as write_attribute
from dtk.dsl.yaml.modeline import modeline, provide_schemas
from dtk.errors import DtkError, UsageError
from dtk.model.json_data import JsonObject, ReadOnlyObject
from dtk.model.names import assembly_name, module_name
from dtk.service.attribute_value import checked_value
from dtk.service.identity import state_before_id
from dtk.service.planning import read_inputs
from dtk.state.identity import new_id
from dtk.state.store import load_state, new_state, save_state
from dtk.state.workspace import Workspace

_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def stage_service(workspace: Workspace, assembly: str, name: str, target: str | None, settings: ReadOnlyObject) -> None:
    """Write a service's file with checked attributes; on an error, leave nothing behind.

    Raises:
        UsageError: a name, the assembly, the target or an attribute is invalid.
    """
    module, assembly = find_assembly(workspace, assembly)
    _check_name(workspace, name)
    target = load_workspace(workspace.file, workspace.root).target(target or "").name
    file = workspace.service_file(name)
    # If nodes of an earlier service with this name are left, they belong to the new one.
    id_ = state_before_id(workspace, name) or new_id()
    named = f"{module.replace('/', ':')}/{assembly}"
    new_service(file, assembly=named, target=target, id_=id_, modeline=modeline("service", file, workspace))
    provide_schemas(workspace)
    try:
        for path, value in settings.items():
            write_attribute(file, path, checked_value(read_inputs(workspace, name), path, value))
        _note_creation(workspace, name, id_)
    except (DtkError, OSError):
        file.unlink()
        file.parent.rmdir()
        raise


def _note_creation(workspace: Workspace, name: str, id_: str) -> None:
    """Begin the service's state with its creation time, unless there is a state with nodes."""
    file = workspace.state_file(name)
    state = load_state(file)
    if state is None or not state.nodes:
        save_state(file, replace(new_state(name, id_), created_at=datetime.now(UTC).isoformat(timespec="seconds")))


def find_assembly(workspace: Workspace, text: str) -> tuple[str, str]:
    """Return the names of the module and the assembly that a text names.

    Raises:
        UsageError: the text names no assembly.
    """
    parsed = assembly_name(text)
    catalog = load_catalog(workspace)
    if parsed is None:
        known = module_name(text) in catalog.names()
        hint = f"dtk list-assemblies {text}" if known else "dtk list-assemblies"
        raise UsageError(f"'{text}' is not an assembly: write namespace:module/assembly", hint=hint)
    module, assembly = catalog.find_assembly(*parsed)
    return module.name, assembly.name


def _check_name(workspace: Workspace, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"invalid service name '{name}': use lower-case letters, digits and -, beginning with a letter, at most 63"
        )
    if workspace.service_file(name).exists():
        raise UsageError(
            f"Unable to stage service with name '{name}'. Service with specified name exists already!",
            hint=f"choose another name, or plan this service: dtk plan {name}",
        )


def read_settings(pairs: list[str], values: Path | None) -> JsonObject:
    """Return attribute paths and their values: from a file, overridden by ``PATH=VALUE`` words.

    Raises:
        UsageError: a word has no ``=``, or the file is not a map.
    """
    settings = values_of(values) if values else {}
    for pair in pairs:
        path, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set {pair}: write PATH=VALUE")
        settings[path] = value
    return settings


def values_of(file: Path) -> JsonObject:
    """Return the content of a YAML file that maps names to values.

    Raises:
        InvalidError: the file is not valid YAML.
        UsageError: the file is not a map.
    """
    from dtk.dsl.yaml.document import read_document  # noqa: PLC0415 - only with --values

    data = read_document(file).data
    if not isinstance(data, dict):
        raise UsageError(f"{file} is not a map of names to values")
    return data
