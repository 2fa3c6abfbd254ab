"""A snapshot of a source, with its modules: a commit of a repository, or a folder as it is now."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from dtk.dsl.digest import tree_digest
from dtk.dsl.module import MODULE_FILE
from dtk.errors import InvalidError, Location, Problem, UsageError
from dtk.sources.module_store import FoundModule, Store
from dtk.sources.repository import Repository, is_below, repository
from dtk.sources.source_address import DEFAULT_BRANCH, Address, located

_IGNORED = (".git", "__pycache__", "*.pyc", ".dtk")


@dataclass(frozen=True)
class Snapshot:
    """A version of a source. ``paths`` are its modules' folders; ``write`` writes the files of one to a new folder."""

    address: Address
    commit: str
    paths: tuple[str, ...]
    write: Callable[[str, Path], None]

    def modules(self, store: Store, below: str = "") -> dict[str, FoundModule]:
        """Return the modules below a path of the source by name, after storing them in the workspace.

        Raises:
            UsageError: there is none.
            InvalidError: two modules have the same name, or a module has files that are not allowed.
        """
        found: dict[str, FoundModule] = {}
        for path in _outermost(self.paths, below):
            module = store.put(self.address, path, self.commit, partial(self.write, path))
            if module.name in found:
                location = Location(f"{path}/{MODULE_FILE}", 1, 1)
                problem = Problem(f"module '{module.name}' is already in '{found[module.name].pin.path}'", location)
                raise InvalidError(f"{self.address} has two modules with the same name", [problem])
            found[module.name] = module
        if not found:
            where = f" below '{below}'" if below else ""
            folders = f"its modules are in {', '.join(self.paths)}" if self.paths else f"it has no {MODULE_FILE}"
            raise UsageError(f"{self.address} has no module{where}", hint=folders)
        return found


@dataclass
class Sources:
    """The sources used by one command: each is fetched once, and each module is written once.

    ``root`` is the workspace, the base of relative paths.
    """

    store: Store
    root: Path
    _snapshots: dict[tuple[Address, str], Snapshot] = field(default_factory=dict)
    _modules: dict[tuple[Address, str, str], dict[str, FoundModule]] = field(default_factory=dict)
    _fetched: dict[str, Repository] = field(default_factory=dict)

    def modules(self, address: Address, commit: str = "", below: str = "") -> dict[str, FoundModule]:
        """Return the modules of a source by name.

        Args:
            address: the source.
            commit: the commit to use; "" for the current one of the address's ref.
            below: only the modules in this folder of the source.

        Raises:
            UsageError, InvalidError, DtkError: as ``snapshot`` and ``Snapshot.modules``.
        """
        key = (address, commit, below)
        if key not in self._modules:
            self._modules[key] = self.snapshot(address, commit).modules(self.store, below)
        return self._modules[key]

    def snapshot(self, address: Address, commit: str = "") -> Snapshot:
        """Return a snapshot of a source.

        Raises:
            UsageError: there is no such folder or ref.
            DtkError: the repository can't be reached.
        """
        key = (address, commit)
        if key not in self._snapshots:
            self._snapshots[key] = self._taken(address, commit)
        return self._snapshots[key]

    def fetched(self, address: Address) -> Repository:
        """Return the up-to-date copy of an address's repository."""
        copy = repository(self.store.repositories, address, self.root)
        if copy.url not in self._fetched:
            copy.fetch()
            self._fetched[copy.url] = copy
        return copy

    def _taken(self, address: Address, commit: str) -> Snapshot:
        if address.is_folder and not commit and not _is_repository(Path(located(address, self.root))):
            return _folder(address, Path(located(address, self.root)))
        copy = repository(self.store.repositories, address, self.root)
        if commit:
            copy.require(commit)
        else:
            copy = self.fetched(address)
            commit = copy.commit(address.ref)
        entries = copy.entries(commit)
        paths = _parents(PurePosixPath(entry.path) for entry in entries)
        return Snapshot(address, commit, paths, lambda path, folder: copy.write(entries, path, folder))


def _folder(address: Address, folder: Path) -> Snapshot:
    if not folder.is_dir():
        raise UsageError(f"folder '{address.url}' not found")
    if address.ref != DEFAULT_BRANCH:
        raise UsageError(f"'{address.url}' is not a git repository, so it has no '{address.ref}'")
    paths = _parents(PurePosixPath(file.relative_to(folder)) for file in sorted(folder.rglob(MODULE_FILE)))

    def write(path: str, target: Path) -> None:
        tree_digest(folder / path)  # raises for symlinks, before anything is copied
        shutil.copytree(folder / path, target, ignore=shutil.ignore_patterns(*_IGNORED))

    return Snapshot(address, "", paths, write)


def _is_repository(folder: Path) -> bool:
    return (folder / ".git").exists() or ((folder / "objects").is_dir() and (folder / "HEAD").is_file())


def _parents(files: Iterable[PurePosixPath]) -> tuple[str, ...]:
    folders = sorted(file.parent.as_posix() for file in files if file.name == MODULE_FILE)
    return tuple("" if folder == "." else folder for folder in folders)


def _outermost(paths: Iterable[str], below: str) -> list[str]:
    """Return the folders of modules below a path, except those inside other modules, which are test cases."""
    requested = below.strip("/").removeprefix("./")
    chosen: list[str] = []
    for path in paths:
        inside = path == requested or is_below(path, requested)
        if inside and not any(path == other or is_below(path, other) for other in chosen):
            chosen.append(path)
    return chosen
