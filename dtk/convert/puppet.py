"""Finds the Puppet code of the original's modules: files to copy, and classes without a manifest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from dtk.convert.reach import puppet_folder
from dtk.convert.section import Notes
from dtk.convert.source import Source
from dtk.model.json_data import JsonObject, as_object
from dtk.model.module import PUPPET_FOLDER

_PARTS = ("manifests", "templates", "files", "lib", "facts.d", "functions", "types", "data")


def puppet_code(source: Source, sources: Iterable[Source], root: Path, notes: Notes) -> dict[str, Path]:
    """Return the Puppet files of a module and of the modules that it includes, by target path: below puppet/NAME."""
    if not source.has_components:
        return {}
    files = {
        f"{PUPPET_FOLDER}/{source.word}/{file.relative_to(source.folder).as_posix()}": file
        for file in _files(source.folder)
    }
    for name, entry in source.included():
        folder = puppet_folder(source, name, root, sources)
        found = list(_files(folder))
        if not found:
            notes.add(entry, f"the Puppet module '{name}' was not found: install it on nodes or in puppet/{name}")
        files |= {f"{PUPPET_FOLDER}/{name}/{file.relative_to(folder).as_posix()}": file for file in found}
    return files


def mark_classes_of_nodes(source: Source, components: JsonObject, files: dict[str, Path], notes: Notes) -> None:
    """Mark each Puppet class without a manifest as provided by nodes, and note these classes once.

    Args:
        source: the source of the components.
        components: the module's converted components; their actions are changed.
        files: the files copied with the module.
        notes: receives the note.
    """
    cursor = source.components or source.unified
    if cursor is None:
        return
    without: list[str] = []
    for component in components.values():
        for action in map(as_object, as_object(as_object(component).get("actions")).values()):
            name = str(action.get("puppet_class") or action.get("puppet_definition") or "")
            if name and _manifest(name) not in files:
                action["puppet_code"] = "node"
                without.append(name)
    if without:
        what = ", ".join(f"'{name}'" for name in dict.fromkeys(without))
        message = f"no manifest found for {what}; install the Puppet code on the nodes (puppet_code: node)"
        notes.add(cursor.get("components") or cursor.get("component_defs") or cursor, message)


def _manifest(name: str) -> str:
    first, _, rest = name.removeprefix("::").partition("::")
    return f"{PUPPET_FOLDER}/{first}/manifests/{rest.replace('::', '/') or 'init'}.pp"


def _files(folder: Path) -> Iterator[Path]:
    if (folder / "manifests").is_dir():
        for part in _PARTS:
            yield from sorted(path for path in (folder / part).rglob("*") if path.is_file() and not path.is_symlink())
