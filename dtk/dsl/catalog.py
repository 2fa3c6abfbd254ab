"""The modules available to a workspace, found by name and loaded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dtk.dsl.cache import keep, key_of, recall
from dtk.dsl.digest import tree_digest
from dtk.dsl.module import MODULE_FILE, is_module, load_module
from dtk.dsl.yaml.document import shown_file
from dtk.dsl.yaml.shipped import data_folder
from dtk.errors import InvalidError, Location, Problem, UsageError
from dtk.model.module import Assembly, Module
from dtk.model.names import module_name
from dtk.model.suggestion import did_you_mean, nearest
from dtk.state.pinned import Pin, load_pins
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class Installed:
    """An installed module: its folder, and its digest in dtk.lock."""

    folder: Path
    tree: str


class Catalog:
    """Modules below several roots (``ROOT/NS/NAME``) and installed ones; the first root that has a name wins.

    Installed modules come after the first root (the workspace's own modules) and before the others (dtk's).
    """

    def __init__(
        self,
        roots: Sequence[Path],
        display_root: Path | None = None,
        installed: Mapping[str, Installed] | None = None,
    ) -> None:
        self.roots = tuple(roots)
        self.display_root = display_root
        self.installed = installed or {}
        self._loaded: dict[str, Module] = {}
        self._open: list[str] = []

    def names(self) -> list[str]:
        """Return the names of all available modules, sorted, without loading them."""
        folders = (folder for root in self.roots for folder in root.glob("*/*") if is_module(folder))
        return sorted({f"{folder.parent.name}/{folder.name}" for folder in folders} | set(self.installed))

    def folder(self, name: str) -> Path | None:
        """Return the folder of a module by its full name, None if it does not exist."""
        first, *others = (root / name for root in self.roots)
        folders = [first, *([self.installed[name].folder] if name in self.installed else []), *others]
        return next((folder for folder in folders if is_module(folder)), None)

    def find(self, name: str) -> Module:
        """Return a module by ``ns/name`` or ``ns:name``, with its dependencies checked.

        Raises:
            InvalidError: it does not exist (with the nearest name), is invalid, or depends on itself.
        """
        full = module_name(name) or name
        if full not in self._loaded:
            self._loaded[full] = self._load(full)
        return self._loaded[full]

    def with_dependencies(self, name: str) -> Mapping[str, Module]:
        """Return a module and all its direct and indirect dependencies by name, the module itself first.

        Raises:
            InvalidError: as ``find``.
        """
        found: dict[str, Module] = {}
        waiting = [module_name(name) or name]
        while waiting:
            module = self.find(waiting.pop(0))
            if module.name not in found:
                found[module.name] = module
                waiting += module.dependencies
        return found

    def providing(self, component: str) -> Sequence[Module]:
        """Return the modules that define a component type (``gitarchive`` or ``dask::worker``), by name.

        Only modules whose short name matches the type are loaded.

        Raises:
            InvalidError: one of them is invalid.
        """
        short = component.partition("::")[0]
        modules = [self.find(name) for name in self.names() if name.rpartition("/")[2] == short]
        return [m for m in modules if any(found.type == component for found in m.components.values())]

    def find_assembly(self, module_name: str, name: str) -> tuple[Module, Assembly]:
        """Return an assembly and its module.

        Raises:
            InvalidError: the module does not exist or is invalid.
            UsageError: the module has no such assembly.
        """
        module = self.find(module_name)
        if name in module.assemblies:
            return module, module.assemblies[name]
        names = ", ".join(module.assemblies) or "none"
        hint = did_you_mean(name, module.assemblies, "dtk list-assemblies")
        raise UsageError(f"module '{module.name}' has no assembly '{name}': it has {names}", hint=hint)

    def _load(self, name: str) -> Module:
        folder = self.folder(name)
        if folder is None and name in self.installed:
            raise InvalidError(f"module '{name}' is in dtk.lock but not installed", hint="dtk install")
        if folder is None:
            near = nearest(name, self.names())
            raise InvalidError("a module is missing", [Problem(f"no module '{name}'", nearest=near)])
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise InvalidError(f"module dependencies form a cycle: {circle}")
        self._open.append(name)
        try:
            module = self._checked(folder)
        finally:
            self._open.pop()
        if module.name != name:
            location = Location(shown_file(folder / MODULE_FILE, self.display_root), module.location.line, 1)
            message = f"the module is named '{module.name}', but its folder '{name}'"
            raise InvalidError(
                f"module '{name}' is invalid", [Problem(message, location, "module", expected=f"'{name}'")]
            )
        pinned = self.installed.get(name)
        if pinned and folder == pinned.folder and module.digest != pinned.tree:
            raise InvalidError(f"the installed module '{name}' does not match dtk.lock", hint="dtk install")
        return module

    def _checked(self, folder: Path) -> Module:
        """Return the checked module in a folder, from the cache if neither it nor its dependencies have changed."""
        key = _cache_key(folder, self.display_root)
        kept = recall(key, _Kept) if key else None
        if kept is not None and self._has_all(kept.dependencies):
            return kept.module
        module = load_module(folder, self.display_root, self.find)
        if key == _cache_key(folder, self.display_root) and key:  # not changed while it was read
            keep(key, _Kept(module, {name: self.find(name).digest for name in module.dependencies}))
        return module

    def _has_all(self, dependencies: Mapping[str, str]) -> bool:
        """Return whether modules exist with these digests."""
        try:
            return all(self.find(name).digest == digest for name, digest in dependencies.items())
        except InvalidError:
            return False  # reported when the module that depends on it is read


@dataclass(frozen=True)
class _Kept:
    """A cached module, with the digests of the modules it was checked against."""

    module: Module
    dependencies: Mapping[str, str]


def _cache_key(folder: Path, display_root: Path | None) -> str:
    """Return the key of a module's tree, "" if it can't be read or is refused."""
    try:
        return key_of("module", str(folder), str(display_root), tree_digest(folder, display_root))
    except (InvalidError, OSError):
        return ""


def load_catalog(workspace: Workspace) -> Catalog:
    """Return a workspace's catalog: its own modules, the installed ones, and those that come with dtk."""
    return catalog_with(workspace, load_pins(workspace.lock_file))


def catalog_with(workspace: Workspace, pins: Mapping[str, Pin]) -> Catalog:
    """Return a workspace's catalog, given the pinned installed modules."""
    installed = {name: Installed(workspace.installed / pin.key / name, pin.tree) for name, pin in pins.items()}
    return Catalog((workspace.modules, data_folder("modules")), workspace.root, installed)
