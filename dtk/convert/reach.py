"""What the modules of a whole tree can name: which module each word means, and which components it has.

Source: docs/original.md 4.1: documents name modules only by their word, and module_refs.yaml gives the namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dtk.convert.section import Notes, type_name
from dtk.convert.source import Source
from dtk.dsl.yaml.cursor import Cursor
from dtk.model.suggestion import nearest

Standing = Literal["there", "missing", "unknown"]
"""The status of a named component: it exists; its module is missing; its module exists, but has no such component."""


@dataclass(frozen=True)
class Tree:
    """The modules of a tree: the component types of modules, and the full names that service modules give to words.

    ``cut`` has the modules that a module must not depend on, because they depend on it.
    """

    types: Mapping[str, frozenset[str]]
    chosen: Mapping[str, frozenset[str]]
    cut: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, sources: Iterable[Source]) -> Tree:
        """Return the tree of some sources."""
        found = list(sources)
        types = {source.name: frozenset(source.types()) for source in found if source.has_components}
        chosen: dict[str, frozenset[str]] = {}
        for source in found:
            for word, full in (references(source) if source.assemblies else {}).items():
                chosen[word] = chosen.get(word, frozenset()) | {full}
        return cls(types, chosen)

    def meanings(self, source: Source, word: str) -> list[str]:
        """Return the modules that a word may mean in a source's documents; a single one if it is unambiguous.

        In order of precedence: the source's own module_refs; its own components; a name that all service modules agree
        on, because these say what components run with; its own namespace; any module of the tree.
        """
        written = references(source).get(word)
        if written:
            return [written] if written in self.types else []
        if word == source.word and source.has_components:
            return [source.name]
        agreed = self.chosen.get(word, frozenset()) & self.types.keys()
        if len(agreed) == 1:
            return list(agreed)
        own = f"{source.name.partition('/')[0]}/{word}"
        return [own] if own in self.types else sorted(name for name in self.types if name.partition("/")[2] == word)


def references(source: Source) -> dict[str, str]:
    """Return the full names that a source's module_refs give to words."""
    cursor = source.references
    if cursor is None or not isinstance(cursor.value, dict):
        return {}
    entries = [entry for entry in cursor.entries("component_modules") if isinstance(entry.value, dict)]
    return {entry.name: f"{entry.text('namespace')}/{entry.name}" for entry in entries if entry.text("namespace")}


@dataclass
class Reach:
    """What a module can name: the modules of a tree; without a tree anything, as the workspace may have the rest.

    ``within`` is the module's source and the tree; ``used`` are the existing modules that were named: its dependencies.
    """

    within: tuple[Source, Tree] | None = None
    used: set[str] = field(default_factory=set)
    _said: set[str] = field(default_factory=set)

    def standing(self, name: str, cursor: Cursor, notes: Notes) -> Standing:
        """Return the status of a component; note missing modules, once for each, and missing components."""
        if self.within is None:
            return "there"
        source, tree = self.within
        type_ = type_name(name)
        word = type_.partition("::")[0]
        found = tree.meanings(source, word)
        if len(found) != 1 or found[0] in tree.cut.get(source.name, ()):
            if word not in self._said:
                self._said.add(word)
                notes.add(cursor, _missing(word, found, tree))
            return "missing"
        if type_ not in tree.types[found[0]]:
            near = nearest(type_, tree.types[found[0]])
            meant = f": did you mean '{near}'?" if near else ""
            notes.add(cursor, f"module '{found[0]}' has no component '{type_}'; it is left out{meant}")
            return "unknown"
        self.used.add(found[0])
        return "there"

    def has(self, name: str, cursor: Cursor, notes: Notes) -> bool:
        """Return whether a component exists; note it if not."""
        return self.standing(name, cursor, notes) == "there"


def _missing(word: str, found: list[str], tree: Tree) -> str:
    if len(found) > 1:
        why = f"may be {' or '.join(found)}: choose one in module_refs.yaml"
    elif found:
        why = f"is '{found[0]}', whose assemblies depend on this module"
    else:
        near = nearest(word, {name.partition("/")[2] for name in tree.types})
        why = "is not in the tree" + (f" (did you mean '{near}'?)" if near else "")
    return f"module '{word}' {why}; links to it become optional; other references to it are left out"


def join_services(sources: list[Source], notes: Notes) -> None:
    """Give each service module the name of the component module with the same word, which components are named by."""
    tree = Tree.of(sources)
    for source in sources:
        found = [] if source.has_components else tree.meanings(source, source.word)
        if len(found) == 1 and found[0] != source.name:
            place = next(iter(source.assemblies.values()))
            notes.add(place, f"the service module '{source.name}' is merged with '{found[0]}' of the same short name")
            source.name = found[0]


def puppet_folder(source: Source, word: str, root: Path, sources: Iterable[Source]) -> Path:
    """Return the folder that a Puppet module would be in: in the tree or beside the module."""
    full = references(source).get(word, "")
    named = [other.folder for other in sources if other.word == word and other.has_components]
    exact = [other.folder for other in sources if other.name == full and other.has_components]
    beside = [
        source.folder.parent / word,
        *(sorted(root.glob(f"*/{full}")) if full else ()),
        *sorted(root.glob(f"*/*/{word}")),
    ]
    candidates = [*exact, *(f for f in named if f.parent == source.folder.parent), *named, *beside]
    return next((folder for folder in candidates if (folder / "manifests").is_dir()), source.folder.parent / word)
