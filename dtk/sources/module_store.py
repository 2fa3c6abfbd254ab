"""Installed modules in .dtk/modules, by commit: ``COMMIT/NS/NAME``; each is written once and never changed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dtk.disk.files import make_private_folder
from dtk.dsl.digest import tree_digest
from dtk.dsl.module import MODULE_FILE
from dtk.dsl.yaml.document import read_document
from dtk.errors import InvalidError, Location, Problem
from dtk.model.names import module_name
from dtk.sources.source_address import Address
from dtk.state.pinned import Pin

_REPOSITORIES = ".repositories"


@dataclass(frozen=True)
class FoundModule:
    """A module in one version of its source; ``folder`` contains its files in this workspace."""

    name: str
    folder: Path
    pin: Pin
    dependencies: Mapping[str, str]

    @property
    def version(self) -> str:
        """The version from the module's own document."""
        return self.pin.version


@dataclass(frozen=True)
class Manifest:
    """What a module's document says about itself, read without loading the rest."""

    name: str
    version: str
    dependencies: Mapping[str, str]


@dataclass(frozen=True)
class Store:
    """The folder .dtk/modules of a workspace."""

    folder: Path

    @property
    def repositories(self) -> Path:
        """The folder with copies of repositories."""
        return self.folder / _REPOSITORIES

    def module(self, name: str, pin: Pin) -> Path:
        """Return the folder of a pinned module; it may not exist."""
        return self.folder / pin.key / name

    def kept(self, name: str, pin: Pin) -> FoundModule | None:
        """Return a pinned module if it is installed completely and unchanged, else None."""
        folder = self.module(name, pin)
        try:
            # Compare the digest each time: a module edited in place must never pass for the one in the lock file.
            if not (folder / MODULE_FILE).is_file() or tree_digest(folder) != pin.tree:
                return None
        except (InvalidError, OSError):
            return None
        return FoundModule(name, folder, pin, read_manifest(folder / MODULE_FILE, pin.url).dependencies)

    def put(self, address: Address, path: str, commit: str, write: Callable[[Path], None]) -> FoundModule:
        """Store a module.

        Args:
            address: its source.
            path: its folder in the source.
            commit: its commit; "" for a plain folder.
            write: writes its files to a new folder.
        """
        make_private_folder(self.folder)
        # A folder on the same file system, so that the final rename is atomic.
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=self.folder))
        try:
            files = temporary / "module"
            write(files)
            found = self._described(files, address, path, commit)
            self._move(files, found)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return found

    def _described(self, files: Path, address: Address, path: str, commit: str) -> FoundModule:
        manifest = read_manifest(files / MODULE_FILE, "/".join(filter(None, (address.url, path))))
        pin = Pin(address.url, address.ref, path, commit, tree_digest(files), manifest.version)
        return FoundModule(manifest.name, self.module(manifest.name, pin), pin, manifest.dependencies)

    def _move(self, files: Path, found: FoundModule) -> None:
        if self.kept(found.name, found.pin):
            return
        target = found.folder
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():  # edited by hand or incomplete: move it aside, to be removed
            aside = files.with_name("changed")
            target.rename(aside)
        os.rename(files, target)  # noqa: PTH104 - atomic within one file system

    def remove(self, name: str) -> None:
        """Remove all versions of a module."""
        for folder in self.folder.glob(f"*/{name}"):
            shutil.rmtree(folder)
            for above in (folder.parent, folder.parent.parent):
                if not any(above.iterdir()):
                    above.rmdir()


def read_manifest(file: Path, shown: str) -> Manifest:
    """Return what a module's document says about itself.

    Args:
        file: the dtk.module.yaml.
        shown: the source, for messages.

    Raises:
        InvalidError: the file is not valid YAML, or the module has no valid name.
    """
    document = read_document(file)
    data = document.data if isinstance(document.data, dict) else {}
    name = module_name(str(data.get("module", "")))
    if name is None:
        location = Location(f"{shown}/{MODULE_FILE}", document.locate(("module",)).line, 1)
        problem = Problem("the module has no name", location, "module", expected="module: namespace/name")
        raise InvalidError(f"{shown} is not a module", [problem])
    given = data.get("dependencies")
    dependencies = given if isinstance(given, dict) else {}
    return Manifest(
        name,
        str(data.get("version") or ""),
        {module_name(str(key)) or str(key): str(value) for key, value in dependencies.items()},
    )
