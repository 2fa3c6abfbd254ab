"""Finds, reads and names the original's documents in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dtk.convert.section import Notes, names
from dtk.dsl.yaml.cursor import Cursor
from dtk.dsl.yaml.document import read_document
from dtk.errors import UsageError
from dtk.model.names import component_type, module_name

COMPONENT_FILE, UNIFIED_FILE, REFERENCES_FILE = "dtk.model.yaml", "dtk.module.yaml", "module_refs.yaml"
ASSEMBLY_SUFFIX = ".dtk.assembly.yaml"
TREE_FOLDERS = ("component_modules", "service_modules", "component-modules", "service-modules")
_FOLDERS_ABOVE = (*TREE_FOLDERS, "modules")


@dataclass
class Source:
    """A folder with documents of the original, and the name of the module that they become."""

    folder: Path
    name: str
    components: Cursor | None = None
    unified: Cursor | None = None
    assemblies: dict[str, Cursor] = field(default_factory=dict)
    references: Cursor | None = None
    workflows: list[Cursor] = field(default_factory=list)

    @property
    def word(self) -> str:
        """The module's name without its namespace."""
        return self.name.rpartition("/")[2]

    @property
    def has_components(self) -> bool:
        """Whether the source defines components, not only assemblies."""
        return self.components is not None or self.unified is not None

    def component_entries(self) -> Iterator[Cursor]:
        """Yield the definitions of the source's components."""
        for cursor in filter(None, (self.components, self.unified)):
            yield from cursor.entries("components" if cursor.get("components") else "component_defs")

    def types(self) -> set[str]:
        """Return the types of the source's components."""
        return {component_type(self.name, entry.name) for entry in self.component_entries()}

    def included(self) -> Iterator[tuple[str, Cursor]]:
        """Yield the Puppet modules that the source includes, with their positions in the document."""
        cursor = self.components or self.unified
        if cursor is None:
            return
        requested = [cursor.get("includes")]
        requested += [entry.get("includes") for entry in cursor.entries("components") if isinstance(entry.value, dict)]
        for listed in filter(None, requested):
            for name, entry, _ in names(listed):
                yield (entry.text("module") if isinstance(entry.value, dict) else name), entry


def read_sources(folder: Path, namespace: str, notes: Notes) -> list[Source]:
    """Return all of the original's modules in a folder.

    Args:
        folder: a module of the original, or a folder with several.
        namespace: the namespace of modules whose folders do not say it.
        notes: collects what can't be converted.

    Raises:
        UsageError: there is none.
        InvalidError: a document is not valid YAML.
    """
    sources = [_read(found, folder, namespace, notes) for found in _folders(folder)]
    if not sources:
        raise UsageError(
            f"no module of the original DTK in {folder}", hint=f"a module has {COMPONENT_FILE} or assemblies/"
        )
    return sources


def documents(folder: Path) -> Iterator[Path]:
    """Yield the documents of a module that are read."""
    names_of = (
        COMPONENT_FILE,
        UNIFIED_FILE,
        REFERENCES_FILE,
        f"assemblies/*{ASSEMBLY_SUFFIX}",
        "assemblies/*/assembly.yaml",
    )
    for name in (*names_of, "workflows/*.dtk.workflow.yaml", "assemblies/*/*.dtk.settings.yaml"):
        yield from folder.glob(name)


def _folders(folder: Path) -> list[Path]:
    names_of = (COMPONENT_FILE, UNIFIED_FILE)
    found = {file.parent for name in names_of for file in folder.rglob(name)}
    found |= {file.parent.parent for file in folder.rglob(f"assemblies/*{ASSEMBLY_SUFFIX}")}
    found |= {file.parent.parent.parent for file in folder.rglob("assemblies/*/assembly.yaml")}
    return sorted(found)


def _read(folder: Path, root: Path, namespace: str, notes: Notes) -> Source:
    def cursor(name: str) -> Cursor | None:
        file = folder / name
        return Cursor(read_document(file, root)) if file.is_file() else None

    components, unified = cursor(COMPONENT_FILE), cursor(UNIFIED_FILE)
    files = sorted(folder.glob(f"assemblies/*{ASSEMBLY_SUFFIX}"))
    legacy = sorted(folder.glob("assemblies/*/assembly.yaml"))
    assemblies = {file.name.removesuffix(ASSEMBLY_SUFFIX): Cursor(read_document(file, root)) for file in files}
    assemblies |= {file.parent.name: Cursor(read_document(file, root)) for file in legacy}
    source = Source(folder, "", components, unified, assemblies, cursor(REFERENCES_FILE))
    source.name = _name(source, namespace)
    source.workflows = [Cursor(read_document(f, root)) for f in sorted(folder.glob("workflows/*.dtk.workflow.yaml"))]
    for file in sorted(folder.glob("assemblies/*/*.dtk.settings.yaml")):
        notes.add(Cursor(read_document(file, root)), f"{file.name} has no counterpart: move it into the assembly")
    return source


def _name(source: Source, namespace: str) -> str:
    written = source.unified.text("module") if source.unified else ""
    word = source.components.text("module") if source.components else ""
    full = module_name(written)
    if full:
        return full
    above = source.folder.resolve().parent.name
    own = namespace or (above if above not in _FOLDERS_ABOVE and module_name(f"{above}/x") else "local")
    return f"{own}/{word or written or source.folder.resolve().name}"
