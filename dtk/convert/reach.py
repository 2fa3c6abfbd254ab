"""What the modules of a whole tree can name: which module each word means, and which components that has.

Source: docs/original.md 4.1: documents name modules by their word alone, and module_refs.yaml gives its namespace.
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
"""Of a component that is named: its module has it; its module is not in the tree; its module is, and has none such."""


@dataclass(frozen=True)
class Tree:
    """The modules of a tree: component types by module, and the full names that service modules give words.

    ``cut`` are the modules that a module can't depend on, because they depend on it.
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
        """Return the modules that a word may mean in a source's documents: one where that is clear.

        What its module_refs say first; then its own components; then what all service modules agree on, for these say
        what components run with; then its own namespace; then whatever the tree has.
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
    """Return the full names that a source's module_refs give words."""
    cursor = source.references
    if cursor is None or not isinstance(cursor.value, dict):
        return {}
    entries = [entry for entry in cursor.entries("component_modules") if isinstance(entry.value, dict)]
    return {entry.name: f"{entry.text('namespace')}/{entry.name}" for entry in entries if entry.text("namespace")}


@dataclass
class Reach:
    """What one module can name ``within`` a tree; without a tree everything, for the workspace may have the rest.

    ``used`` are the modules that were named and are there: what it depends on.
    """

    within: tuple[Source, Tree] | None = None
    used: set[str] = field(default_factory=set)
    _said: set[str] = field(default_factory=set)

    def standing(self, name: str, cursor: Cursor, notes: Notes) -> Standing:
        """Say whether a component is there, and note once for each module which one is not."""
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
            notes.add(cursor, f"module '{found[0]}' has no component '{type_}', and it is left out{meant}")
            return "unknown"
        self.used.add(found[0])
        return "there"

    def has(self, name: str, cursor: Cursor, notes: Notes) -> bool:
        """Whether a component is there; noted where it is not."""
        return self.standing(name, cursor, notes) == "there"


def _missing(word: str, found: list[str], tree: Tree) -> str:
    if len(found) > 1:
        why = f"may be {' or '.join(found)}: say which in module_refs.yaml"
    elif found:
        why = f"is '{found[0]}', which depends on this one for its assemblies"
    else:
        near = nearest(word, {name.partition("/")[2] for name in tree.types})
        why = "is not in the tree" + (f" (did you mean '{near}'?)" if near else "")
    return f"module '{word}' {why}; links to it are optional, and all else that names it is left out"


def join_services(sources: list[Source], notes: Notes) -> None:
    """Name each service module as the component module of its word: components are named by that word alone."""
    tree = Tree.of(sources)
    for source in sources:
        found = [] if source.has_components else tree.meanings(source, source.word)
        if len(found) == 1 and found[0] != source.name:
            place = next(iter(source.assemblies.values()))
            notes.add(place, f"the service module '{source.name}' is one module with '{found[0]}', whose word it has")
            source.name = found[0]


def puppet_folder(source: Source, word: str, root: Path, sources: Iterable[Source]) -> Path:
    """Return where the Puppet module of a word would be: in the tree or beside the module."""
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
