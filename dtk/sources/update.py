"""Updates installed modules to the latest commits of their refs, and returns the changes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dtk.dsl.catalog import Catalog, catalog_with
from dtk.dsl.yaml.edit import set_entry
from dtk.errors import InvalidError, UsageError
from dtk.model.module import Module
from dtk.sources.install import SECTION, check_modules, module_entry, read_installation, shown
from dtk.sources.module_changes import ModuleChange, differences, history
from dtk.sources.source_address import check_ref
from dtk.sources.version_resolution import ModuleRequest
from dtk.state.pinned import Pin, save_pins
from dtk.state.workspace import Workspace


def update(workspace: Workspace, name: str = "", ref: str = "", *, write: bool = True) -> list[ModuleChange]:
    """Look up refs again and pin their current commits; return the modules that change.

    Args:
        workspace: the workspace.
        name: update only this module; "" for all. Its dependencies change only if its constraints require it.
        ref: the new tag, branch or commit of the module; "" keeps the ref in dtk.yaml.
        write: whether to write dtk.lock; otherwise only return the changes.

    Raises:
        UsageError: the module is not installed.
        InvalidError: the new modules are invalid or conflict; nothing has changed in this case.
    """
    before = read_installation(workspace)
    if name and name not in before.pins:
        raise UsageError(f"module '{shown(name)}' is not installed", hint="dtk list-modules")
    requested = _with_ref(before.requested, name, ref) if ref else before.requested
    found = before.resolved(requested, [name] if name else [*before.pins])
    pins = {module: resolved.pin for module, resolved in found.items()}
    check_modules(workspace, pins)
    changes = _changes(workspace, before.pins, pins)
    if write and changes:
        save_pins(workspace.lock_file, pins)
    if write and ref:
        set_entry(workspace.file, SECTION, name, module_entry(requested[name].address, requested[name].path))
    return changes


def _with_ref(requested: Mapping[str, ModuleRequest], name: str, ref: str) -> Mapping[str, ModuleRequest]:
    if name not in requested:
        raise UsageError(
            f"module '{shown(name)}' is not in dtk.yaml: it is a dependency of another module",
            hint="dtk install SOURCE@REF",
        )
    check_ref(ref)
    return {**requested, name: replace(requested[name], address=replace(requested[name].address, ref=ref))}


def _changes(workspace: Workspace, old: Mapping[str, Pin], new: Mapping[str, Pin]) -> list[ModuleChange]:
    before, after = catalog_with(workspace, old), catalog_with(workspace, new)
    changes = []
    for name in sorted({*old, *new}):
        was, now = old.get(name), new.get(name)
        if was == now:
            continue
        commits, moved = history(workspace, was, now) if was and now else ((), False)
        message = tuple(differences(_module(before, name, was), _module(after, name, now)))
        changes.append(ModuleChange(name, was, now, commits, moved, message))
    return changes


def _module(catalog: Catalog, name: str, pin: Pin | None) -> Module | None:
    """Return a module at a pin, or None if it was not installed or is no longer valid."""
    if pin is None:
        return None
    try:
        return catalog.find(name)
    except InvalidError:
        return None
