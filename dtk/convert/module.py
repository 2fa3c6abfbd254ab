"""The original's modules found in a folder, and each as a document of ours with the files that belong to it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dtk.convert.assembly import assembly
from dtk.convert.component import component
from dtk.convert.leftovers import leftovers
from dtk.convert.section import Note, Notes, Section, names
from dtk.dsl.yaml.cursor import Cursor
from dtk.dsl.yaml.document import read_document
from dtk.errors import UsageError
from dtk.model.json_data import Json
from dtk.model.module import PUPPET_FOLDER
from dtk.model.names import component_type, module_name

COMPONENT_FILE, UNIFIED_FILE, REFERENCES_FILE = "dtk.model.yaml", "dtk.module.yaml", "module_refs.yaml"
ASSEMBLY_SUFFIX = ".dtk.assembly.yaml"
_PUPPET_PARTS = ("manifests", "templates", "files", "lib", "facts.d", "functions", "types", "data")
_SECTION = re.compile(rb"\{\{[{#^/&!]")
_FIRST_VERSION = "0.1.0"
_FOLDERS_ABOVE = ("component_modules", "service_modules", "component-modules", "service-modules", "modules")


@dataclass
class Converted:
    """One module of ours: its document, and the files to copy, by where they go."""

    name: str
    document: dict[str, Any]
    files: dict[str, Path] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """The module's name without its namespace."""
        return self.name.rpartition("/")[2]


@dataclass
class _Source:
    """A folder with documents of the original's."""

    folder: Path
    name: str
    components: Cursor | None = None
    unified: Cursor | None = None
    assemblies: dict[str, Cursor] = field(default_factory=dict)
    references: Cursor | None = None
    workflows: list[Cursor] = field(default_factory=list)
    left: list[Path] = field(default_factory=list)


def convert(folder: Path, namespace: str) -> tuple[list[Converted], list[Note]]:
    """Return our modules for everything of the original's in a folder, and what could not be carried over.

    Args:
        folder: one of the original's modules, or a folder that holds several.
        namespace: of modules whose folders do not say it.

    Raises:
        UsageError: there is none of the original's modules.
        InvalidError: a document is not YAML.
    """
    notes = Notes()
    sources = [_read(found, folder, namespace, notes) for found in _folders(folder)]
    if not sources:
        raise UsageError(f"no module of the original's in {folder}", hint=f"it has {COMPONENT_FILE} or assemblies/")
    on_nodes = _on_nodes(sources)
    made: dict[str, Converted] = {}
    for source in sources:
        module = made.setdefault(source.name, Converted(source.name, _head(source.name)))
        _fill(module, source, sources, on_nodes, notes)
    documents = {file for source in sources for file in _documents(source.folder)}
    copied = {file for module in made.values() for file in module.files.values()}
    notes.notes += leftovers(folder, documents, copied)
    return list(made.values()), notes.in_order()


def _documents(folder: Path) -> Iterator[Path]:
    names = (
        COMPONENT_FILE,
        UNIFIED_FILE,
        REFERENCES_FILE,
        f"assemblies/*{ASSEMBLY_SUFFIX}",
        "assemblies/*/assembly.yaml",
    )
    for name in (*names, "workflows/*.dtk.workflow.yaml", "assemblies/*/*.dtk.settings.yaml"):
        yield from folder.glob(name)


def _folders(folder: Path) -> list[Path]:
    names_of = (COMPONENT_FILE, UNIFIED_FILE)
    found = {file.parent for name in names_of for file in folder.rglob(name)}
    found |= {file.parent.parent for file in folder.rglob(f"assemblies/*{ASSEMBLY_SUFFIX}")}
    found |= {file.parent.parent.parent for file in folder.rglob("assemblies/*/assembly.yaml")}
    return sorted(found)


def _read(folder: Path, root: Path, namespace: str, notes: Notes) -> _Source:
    def cursor(name: str) -> Cursor | None:
        file = folder / name
        return Cursor(read_document(file, root)) if file.is_file() else None

    components, unified = cursor(COMPONENT_FILE), cursor(UNIFIED_FILE)
    files = sorted(folder.glob(f"assemblies/*{ASSEMBLY_SUFFIX}"))
    legacy = sorted(folder.glob("assemblies/*/assembly.yaml"))
    assemblies = {file.name.removesuffix(ASSEMBLY_SUFFIX): Cursor(read_document(file, root)) for file in files}
    assemblies |= {file.parent.name: Cursor(read_document(file, root)) for file in legacy}
    source = _Source(folder, "", components, unified, assemblies, cursor(REFERENCES_FILE))
    source.name = _name(source, namespace)
    source.workflows = [Cursor(read_document(f, root)) for f in sorted(folder.glob("workflows/*.dtk.workflow.yaml"))]
    for file in sorted(folder.glob("assemblies/*/*.dtk.settings.yaml")):
        notes.add(Cursor(read_document(file, root)), f"{file.name} has no counterpart: move it into the assembly")
    return source


def _name(source: _Source, namespace: str) -> str:
    written = source.unified.text("module") if source.unified else ""
    word = source.components.text("module") if source.components else ""
    full = module_name(written)
    if full:
        return full
    above = source.folder.resolve().parent.name
    own = namespace or (above if above not in _FOLDERS_ABOVE and module_name(f"{above}/x") else "local")
    return f"{own}/{word or written or source.folder.resolve().name}"


def _head(name: str) -> dict[str, Json]:
    return {"dsl_version": "1.0.0", "module": name, "version": _FIRST_VERSION}


def _on_nodes(sources: list[_Source]) -> set[str]:
    """Return the component types that some assembly has on a node."""
    found: set[str] = set()
    for source in sources:
        for cursor in source.assemblies.values():
            made = assembly(cursor, Notes())
            for node in made.get("nodes", {}).values():
                uses = (use if isinstance(use, str) else next(iter(use)) for use in node.get("components", ()))
                found |= {use.partition("[")[0] for use in uses}
    return found


def _fill(module: Converted, source: _Source, sources: list[_Source], on_nodes: set[str], notes: Notes) -> None:
    document = module.document
    for cursor in filter(None, (source.components, source.unified)):
        _document(module, source, cursor, on_nodes, notes)
    needed = _references(source.references, notes)
    for name, cursor in source.assemblies.items():
        document.setdefault("assemblies", {})[cursor.text("name") or name] = assembly(cursor, notes, source.workflows)
    _add_dependencies(document, needed, module.name)
    _puppet(module, source, sources, notes)


def _document(module: Converted, source: _Source, cursor: Cursor, on_nodes: set[str], notes: Notes) -> None:
    section, document = Section(cursor, notes), module.document
    for key in ("module", "dsl_version"):
        section.take(key)
    for key in ("version", "description", "license"):
        written = section.text(key)
        document |= {key: written} if written else {}
    _add_dependencies(document, _unified_dependencies(section), module.name)
    for entry in section.entries("components", "component_defs"):
        type_ = component_type(module.name, entry.name)
        made = component(entry, notes, on_node=type_ in on_nodes or not _seen(source))
        document.setdefault("components", {})[entry.name] = made
        _command_files(module, source.folder, made, entry, notes)
    for entry in section.entries("assemblies"):
        document.setdefault("assemblies", {})[entry.name] = assembly(entry, notes, source.workflows)
    section.take("includes")
    section.leave("module_type", "the module's type has no counterpart: each action says how it is done")
    section.leave("keywords", "keywords have no counterpart")
    section.close()


def _seen(source: _Source) -> bool:
    """Without an assembly beside it nothing says that a component is assembly-wide."""
    return bool(source.assemblies) or source.components is not None


def _references(cursor: Cursor | None, notes: Notes) -> dict[str, str]:
    needed: dict[str, str] = {}
    if cursor is None or not isinstance(cursor.value, dict):
        return needed
    section = Section(cursor, notes)
    for entry in section.entries("component_modules"):
        if not isinstance(entry.value, dict) or not entry.text("namespace"):
            notes.add(entry, f"module '{entry.name}' has no namespace here, and is not among the dependencies")
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
            section.notes.add(entry, f"'{name}' is no module's name and is left out")
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


def _puppet(module: Converted, source: _Source, sources: list[_Source], notes: Notes) -> None:
    """Put the module's Puppet code, and that of the modules it includes, below puppet/NAME."""
    if source.components is None and source.unified is None:
        return
    parts = list(_puppet_files(source.folder))
    for file in parts:
        module.files[f"{PUPPET_FOLDER}/{module.word}/{file.relative_to(source.folder).as_posix()}"] = file
    for name, entry in _includes(source):
        other = next((found for found in sources if found.name.rpartition("/")[2] == name), None)
        folder = other.folder if other else source.folder.parent / name
        files = list(_puppet_files(folder)) if folder.is_dir() else []
        if not files:
            notes.add(entry, f"the Puppet module '{name}' is not beside it: nodes need it, or put it in puppet/{name}")
        module.files |= {f"{PUPPET_FOLDER}/{name}/{file.relative_to(folder).as_posix()}": file for file in files}


def _puppet_files(folder: Path) -> Iterator[Path]:
    if (folder / "manifests").is_dir():
        for part in _PUPPET_PARTS:
            yield from sorted(path for path in (folder / part).rglob("*") if path.is_file() and not path.is_symlink())


def _includes(source: _Source) -> Iterator[tuple[str, Cursor]]:
    cursor = source.components or source.unified
    if cursor is None:
        return
    requested = [cursor.get("includes")]
    requested += [entry.get("includes") for entry in cursor.entries("components") if isinstance(entry.value, dict)]
    for listed in filter(None, requested):
        for entry in listed.entries():
            yield (entry.text("module") if isinstance(entry.value, dict) else str(entry.value)), entry
