"""Installs and removes modules: resolves and checks everything, then writes dtk.yaml and dtk.lock."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from dtk.dsl.catalog import Catalog, catalog_with
from dtk.dsl.module import MODULE_FILE
from dtk.dsl.workspace import load_workspace
from dtk.dsl.yaml.edit import set_entry, unset_entry
from dtk.errors import InvalidError, Problem, UsageError
from dtk.sources.module_store import FoundModule, Store, read_manifest
from dtk.sources.source_address import DEFAULT_BRANCH, Address, parse_address
from dtk.sources.source_snapshot import Sources
from dtk.sources.version_resolution import ModuleRequest, Request, resolve
from dtk.state.pinned import Pin, load_pins, save_pins
from dtk.state.workspace import Workspace

Report = Callable[[str], None]
SECTION = "modules"
"""The section of dtk.yaml that names the modules to install."""


@dataclass(frozen=True)
class Installation:
    """What a workspace requests and what is installed: dtk.yaml, dtk.lock and the store, read together."""

    workspace: Workspace
    sources: Sources
    requested: Mapping[str, ModuleRequest]
    templates: Mapping[str, str]
    pins: Mapping[str, Pin]

    def resolved(self, requested: Mapping[str, ModuleRequest], unpinned: Iterable[str] = ()) -> dict[str, FoundModule]:
        """Return the modules to install for the requested ones; ignore the pins of those in ``unpinned``."""
        return resolve(Request(self.workspace, self.sources, requested, self.templates, self.pins, frozenset(unpinned)))


def read_installation(workspace: Workspace) -> Installation:
    """Read dtk.yaml and dtk.lock.

    Raises:
        InvalidError: one of the files is invalid.
        UsageError: a source in dtk.yaml is not valid.
    """
    configuration = load_workspace(workspace.file, workspace.root)
    requested = {}
    for name, module in configuration.modules.items():
        address = parse_address(module.source)
        requested[name] = ModuleRequest(replace(address, ref=module.ref or address.ref), module.path)
    sources = Sources(Store(workspace.installed), workspace.root)
    return Installation(workspace, sources, requested, configuration.module_sources, load_pins(workspace.lock_file))


def install(workspace: Workspace, source: str, path: str, report: Report) -> list[str]:
    """Install the modules of a source and their dependencies; return the names of the source's modules.

    Args:
        workspace: the workspace.
        source: ``SOURCE[@REF]``.
        path: install only the modules in this folder of the source; "" for all.
        report: called with each line of progress.

    Raises:
        UsageError: the source is not valid, or a module with the same name comes from another source.
        InvalidError: versions conflict, or a module is invalid; nothing has changed in this case.
        DtkError: the source can't be reached.
    """
    address = parse_address(source)
    before = read_installation(workspace)
    modules = before.sources.modules(address, below=path)
    for name in modules:
        _check_origin(before, name, address)
    new = {name: ModuleRequest(address, found.pin.path) for name, found in modules.items()}
    requested = {**before.requested, **new}
    report_resolution(before, before.resolved(requested, modules), list(modules), report)
    for name, found in modules.items():
        set_entry(workspace.file, SECTION, name, module_entry(address, found.pin.path))
    return list(modules)


def install_all(workspace: Workspace, report: Report) -> list[str]:
    """Install the modules in dtk.yaml, as pinned in dtk.lock, and all dependencies; return the names."""
    before = read_installation(workspace)
    found = before.resolved(before.requested)
    report_resolution(before, found, list(before.requested), report)
    return list(found)


def install_locked(workspace: Workspace, report: Report) -> list[str]:
    """Install exactly the modules in dtk.lock; return the names.

    Raises:
        InvalidError: dtk.yaml, dtk.lock and the sources do not match; all differences are listed.
    """
    before = read_installation(workspace)
    differences = [*_differences(before)]
    if differences:
        raise _differ(differences)
    found = before.resolved(before.requested)
    changed = {name for name in {*found, *before.pins} if _pin_of(found, name) != before.pins.get(name)}
    if changed:
        raise _differ([_difference(name, found, before.pins) for name in sorted(changed)])
    check_modules(workspace, before.pins)
    for name in found:
        report(f"Using module '{shown(name)}'")
    return list(found)


def uninstall(workspace: Workspace, name: str, report: Report) -> None:
    """Remove a module and the modules that only it depended on.

    Raises:
        UsageError: the module is not installed, or a module or service uses it.
    """
    before = read_installation(workspace)
    if name not in before.pins:
        raise UsageError(f"module '{shown(name)}' is not installed", hint="dtk list-modules")
    users = [*_users(before, name)]
    if users:
        raise UsageError(f"module '{shown(name)}' is used by {', '.join(users)}", hint="remove its users first")
    requested = {other: module for other, module in before.requested.items() if other != name}
    found = before.resolved(requested)
    save_pins(workspace.lock_file, {other: module.pin for other, module in found.items()})
    unset_entry(workspace.file, SECTION, name)
    for gone in sorted(set(before.pins) - set(found)):
        before.sources.store.remove(gone)
        report(f"Uninstalled module '{shown(gone)}'")


def report_resolution(before: Installation, found: Mapping[str, FoundModule], asked: list[str], report: Report) -> None:
    """Check the resolved modules, write dtk.lock, and report the modules like the original (docs/original.md 2.5)."""
    pins = {name: module.pin for name, module in found.items()}
    check_modules(before.workspace, pins)
    needed = [name for name in found if name not in asked]
    new = [name for name in found if before.pins.get(name) != pins[name]]
    if any(name in new for name in needed):
        report("Auto-installing missing module(s)")
    for name in needed:
        report(f"Installing module '{shown(name)}' ... Done." if name in new else f"Using module '{shown(name)}'")
    for name in asked:
        verb = "Installing" if name in new else "Using"
        resumed = "Resuming install of" if needed and name in new else verb
        report(f"{resumed} module '{shown(name)}' ... Done." if name in new else f"Using module '{shown(name)}'")
    if pins or before.workspace.lock_file.exists():
        save_pins(before.workspace.lock_file, pins)


def check_modules(workspace: Workspace, pins: Mapping[str, Pin]) -> None:
    """Refuse a set of modules if one of them is invalid.

    Raises:
        InvalidError: lists the errors of all modules.
    """
    catalog = catalog_with(workspace, pins)
    problems: dict[Problem, None] = {}
    for name in pins:
        try:
            catalog.find(name)
        except InvalidError as error:
            problems |= dict.fromkeys(error.problems or [Problem(error.message)])
    if problems:
        message = "the modules are invalid and were not installed; nothing was changed"
        raise InvalidError(message, list(problems))


def shown(name: str) -> str:
    """Return a module's name as the original shows it, such as ``bigtop:spark``."""
    return name.replace("/", ":")


def module_entry(address: Address, path: str) -> dict[str, str]:
    """Return the entry for a module in dtk.yaml."""
    entry = {"source": address.url}
    entry |= {"ref": address.ref} if address.ref != DEFAULT_BRANCH else {}
    return entry | ({"path": path} if path else {})


def _check_origin(before: Installation, name: str, address: Address) -> None:
    if (before.workspace.modules / name).is_dir():
        raise UsageError(f"module '{shown(name)}' already exists in this workspace: modules/{name}")
    there = before.pins.get(name)
    if there and there.url != address.url:
        hint = f"dtk uninstall {shown(name)}"
        raise UsageError(
            f"module '{shown(name)}' is already installed from {there.url}; {address.url} also has one", hint=hint
        )


def _users(before: Installation, name: str) -> list[str]:
    from dtk.dsl.service import load_service  # noqa: PLC0415 - only to remove a module

    workspace = before.workspace
    catalog = catalog_with(workspace, before.pins)
    modules = [other for other in catalog.names() if other != name and name in _needs(catalog, other)]
    services = [load_service(workspace.service_file(service), workspace.root) for service in workspace.service_names()]
    used = [f"service '{service.name}'" for service in services if service.module == name]
    return [f"module '{shown(other)}'" for other in modules] + used


def _needs(catalog: Catalog, name: str) -> list[str]:
    folder = catalog.folder(name)
    return list(read_manifest(folder / MODULE_FILE, name).dependencies) if folder else []


def _differences(before: Installation) -> list[str]:
    found = []
    for name, requested in before.requested.items():
        pin = before.pins.get(name)
        if pin is None:
            found.append(f"'{name}' is in dtk.yaml but not in dtk.lock")
        elif (pin.url, pin.ref, pin.path) != (requested.address.url, requested.address.ref, requested.path):
            found.append(f"'{name}' is from {requested.address} in dtk.yaml but from {pin.shown} in dtk.lock")
    return found


def _differ(differences: list[str]) -> InvalidError:
    problems = [Problem(difference) for difference in differences]
    return InvalidError("dtk.lock is out of date", problems, hint="dtk install, and commit dtk.lock")


def _difference(name: str, found: Mapping[str, FoundModule], pins: Mapping[str, Pin]) -> str:
    return f"'{name}' is {_described(_pin_of(found, name))}, but in dtk.lock {_described(pins.get(name))}"


def _pin_of(found: Mapping[str, FoundModule], name: str) -> Pin | None:
    return found[name].pin if name in found else None


def _described(pin: Pin | None) -> str:
    return f"{pin.shown} at {(pin.commit or pin.tree)[:20]}" if pin else "missing"
