"""Converts the original's modules in a folder: each to a document, with the files that belong to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dtk.convert.assembly import assembly
from dtk.convert.circles import without_circles
from dtk.convert.component import component
from dtk.convert.leftovers import leftovers
from dtk.convert.puppet import mark_classes_of_nodes, puppet_code
from dtk.convert.reach import Reach, Tree, join_services
from dtk.convert.section import Note, Notes, Section, names
from dtk.convert.source import TREE_FOLDERS, Source, documents, read_sources
from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import UsageError
from dtk.model.json_data import Json
from dtk.model.names import component_type, module_name

_SECTION = re.compile(rb"\{\{[{#^/&!]")
_FIRST_VERSION = "0.1.0"
_ANY_VERSION = ">=0"


@dataclass
class Converted:
    """A converted module: its document, and the files to copy, by target path."""

    name: str
    document: dict[str, Any]
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """The module's name without its namespace."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class _Conversion:
    """The context of a conversion; ``tree`` is None if modules outside the folder may be used."""

    root: Path
    sources: Sequence[Source]
    tree: Tree | None
    on_nodes: frozenset[str]
    notes: Notes


def convert(folder: Path, namespace: str, *, whole_tree: bool = False) -> tuple[list[Converted], list[Note]]:
    """Convert all of the original's modules in a folder; return the modules, and notes about what was not converted.

    Args:
        folder: a module of the original, or a folder with several.
        namespace: the namespace of modules whose folders do not say it.
        whole_tree: whether the folder has ``component_modules/NS/NAME`` and ``service_modules/NS/NAME``, and all
            modules that these name.

    Raises:
        UsageError: the folder has none of the original's modules.
        InvalidError: a document is not valid YAML.
    """
    if whole_tree and not any((folder / name).is_dir() for name in TREE_FOLDERS):
        raise UsageError(
            f"{folder} is not a tree of modules", hint=f"a tree has a folder {' or '.join(TREE_FOLDERS[:2])}"
        )
    notes = Notes()
    sources = read_sources(folder, namespace, notes)
    if whole_tree:
        join_services(sources, notes)
    tree = without_circles(Tree.of(sources), sources) if whole_tree else None
    conversion = _Conversion(folder, sources, tree, _on_nodes(sources), notes)
    made: dict[str, Converted] = {}
    for source in sources:
        _fill(made.setdefault(source.name, Converted(source.name, _head(source.name))), source, conversion)
    read = {file for source in sources for file in documents(source.folder)}
    copied = {file for module in made.values() for file in module.files.values()}
    notes.notes += leftovers(folder, read, copied)
    return list(made.values()), notes.in_order()


def _head(name: str) -> dict[str, Json]:
    return {"dsl_version": "1.0.0", "module": name, "version": _FIRST_VERSION}


def _on_nodes(sources: list[Source]) -> frozenset[str]:
    """Return the component types that an assembly puts on a node."""
    found: set[str] = set()
    for source in sources:
        for cursor in source.assemblies.values():
            made = assembly(cursor, Notes(), Reach())
            for node in made.get("nodes", {}).values():
                uses = (use if isinstance(use, str) else next(iter(use)) for use in node.get("components", ()))
                found |= {use.partition("[")[0] for use in uses}
    return frozenset(found)


def _fill(module: Converted, source: Source, conversion: _Conversion) -> None:
    notes, document = conversion.notes, module.document
    reach = Reach((source, conversion.tree) if conversion.tree else None)
    needed: dict[str, str] = {}
    for cursor in filter(None, (source.components, source.unified)):
        needed |= _document(module, source, cursor, conversion, reach)
    needed |= _references(source.references, notes)
    for name, cursor in source.assemblies.items():
        _add_assembly(document.setdefault("assemblies", {}), cursor.text("name") or name, source, cursor, reach, notes)
    if conversion.tree is not None:
        needed = dict.fromkeys(sorted(reach.used), _ANY_VERSION)
    _add_dependencies(document, needed, module.name)
    module.files |= puppet_code(source, conversion.sources, conversion.root, notes)
    if source.has_components:
        mark_classes_of_nodes(source, document.get("components", {}), module.files, notes)


def _add_assembly(
    assemblies: dict[str, Json], name: str, source: Source, cursor: Cursor, reach: Reach, notes: Notes
) -> None:
    """Add an assembly; if another service module has one with the same name, prefix the name with its namespace."""
    if name in assemblies:
        other = f"{source.folder.parent.name}-{name}"
        notes.add(cursor, f"the module has another assembly '{name}': this one is '{other}'")
        name = other
    assemblies[name] = assembly(cursor, notes, reach, source.workflows)


def _document(
    module: Converted, source: Source, cursor: Cursor, conversion: _Conversion, reach: Reach
) -> dict[str, str]:
    """Convert a document with components; return the modules that it depends on."""
    notes = conversion.notes
    section, document = Section(cursor, notes), module.document
    for key in ("module", "dsl_version"):
        section.take(key)
    for key in ("version", "description", "license"):
        written = section.text(key)
        document |= {key: written} if written else {}
    needed = _unified_dependencies(section)
    for entry in section.entries("components", "component_defs"):
        type_ = component_type(module.name, entry.name)
        made = component(entry, notes, reach, on_node=type_ in conversion.on_nodes or not _seen(source))
        document.setdefault("components", {})[entry.name] = made
        _command_files(module, source.folder, made, entry, notes)
    for entry in section.entries("assemblies"):
        document.setdefault("assemblies", {})[entry.name] = assembly(entry, notes, reach, source.workflows)
    section.take("includes")
    section.leave("module_type", "the module's type has no counterpart: each action contains its own implementation")
    section.leave("keywords", "keywords have no counterpart")
    section.close()
    return needed


def _seen(source: Source) -> bool:
    """Return whether the source has assemblies, which show whether a component is assembly-wide."""
    return bool(source.assemblies) or source.components is not None


def _references(cursor: Cursor | None, notes: Notes) -> dict[str, str]:
    needed: dict[str, str] = {}
    if cursor is None or not isinstance(cursor.value, dict):
        return needed
    section = Section(cursor, notes)
    for entry in section.entries("component_modules"):
        if not isinstance(entry.value, dict) or not entry.text("namespace"):
            notes.add(entry, f"module '{entry.name}' has no namespace here and is left out of the dependencies")
            continue
        needed[f"{entry.text('namespace')}/{entry.name}"] = _constraint(entry.text("version"))
    section.close()
    return needed


def _unified_dependencies(section: Section) -> dict[str, str]:
    needed = {}
    for name, entry, _ in names(section.take("dependencies")):
        full = module_name(name)
        version = "" if not isinstance(entry.value, (str, int, float)) or entry.value == name else str(entry.value)
        if full:
            needed[full] = _constraint(version)
        else:
            section.notes.add(entry, f"'{name}' is not the name of a module and is left out")
    return needed


def _constraint(version: str) -> str:
    return version if version[:1].isdigit() or (version[:1] in "<>=!" and version) else ">=0"


def _add_dependencies(document: dict[str, Any], needed: Mapping[str, str], own: str) -> None:
    requested = {name: limit for name, limit in needed.items() if name != own}
    if requested:
        document["dependencies"] = {**document.get("dependencies", {}), **requested}


def _command_files(module: Converted, folder: Path, made: dict[str, Any], cursor: Cursor, notes: Notes) -> None:
    for action in made.get("actions", {}).values():
        for command in action.get("commands", ()):
            source = command.get("source", "") if isinstance(command, dict) else ""
            if not source or "{{" in source:
                continue
            if (folder / source).is_file() and ".." not in Path(source).parts:
                module.files[source] = folder / source
                if command.get("template") and _SECTION.search((folder / source).read_bytes()):
                    notes.add(cursor, f"the template '{source}' has mustache sections: rewrite them as Jinja2")
            else:
                notes.add(cursor, f"the file '{source}', which is put on nodes, is not in the module")
