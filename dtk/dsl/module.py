"""Loads a module from its folder: reads and checks it, and reports all problems at once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from dtk.dsl.build.assembly import all_uses_are_known, build_assembly
from dtk.dsl.build.component import build_component
from dtk.dsl.check.scope import Scope
from dtk.dsl.digest import tree_digest
from dtk.dsl.yaml.checked_document import Checked, open_document, report
from dtk.dsl.yaml.cursor import Cursor
from dtk.dsl.yaml.document import shown_file
from dtk.dsl.yaml.versions import satisfies
from dtk.errors import InvalidError, Location, Problem
from dtk.model.module import Assembly, Component, Module
from dtk.model.names import component_type, module_name

MODULE_FILE = "dtk.module.yaml"
_MOST_MISTAKES = 100
"""Limit on semantic problems per module: for each one, similar names are searched."""
ASSEMBLY_SUFFIX = ".dtk.assembly.yaml"

FindModule = Callable[[str], Module]


@dataclass(frozen=True)
class _ModuleSources:
    """A module's documents: its own, and those of assemblies in separate files, by name."""

    folder: Path
    display_root: Path | None
    main: Cursor
    assemblies: dict[str, Cursor]

    @property
    def module(self) -> str:
        """The module's full name; derived from its folder if the document does not say."""
        folders = f"{self.folder.parent.name}/{self.folder.name}"
        return module_name(self.main.text("module")) or module_name(folders) or "unnamed/unnamed"


@dataclass
class _ModuleReading:
    """What has been read so far, and its problems."""

    sources: _ModuleSources
    problems: list[Problem]
    components: dict[str, Component] = field(default_factory=dict)
    assemblies: dict[str, tuple[Assembly, Cursor]] = field(default_factory=dict)
    modules: dict[str, Module | None] = field(default_factory=dict)


def is_module(folder: Path) -> bool:
    """Return whether a folder is a module: whether dtk.module.yaml exists, even if it can't be read."""
    return os.path.lexists(folder / MODULE_FILE)


def load_module(folder: Path, display_root: Path | None = None, find: FindModule | None = None) -> Module:
    """Load the module in a folder.

    Args:
        folder: contains ``dtk.module.yaml`` and possibly ``assemblies/NAME.dtk.assembly.yaml``.
        display_root: messages name files relative to this folder.
        find: returns a module by its full name, for references to the module's dependencies; without it, those
            references are not checked.

    Raises:
        InvalidError: the module is invalid; the error lists all problems in file order.
    """
    problems: list[Problem] = []
    # Compute the digest first: the files read afterwards are then those in the digest, and symlinks are refused.
    digest = _digest(folder, display_root, problems)
    if problems:
        # Don't read a symlink's target: a message would show its content.
        raise _invalid(folder, display_root, problems, [])
    sources, checked = _open(folder, display_root, problems)
    if sources is None:
        raise _invalid(folder, display_root, problems, checked)
    reading = _ModuleReading(sources, problems)
    _build(reading)
    _resolve_modules(reading, find)
    # Limited: a single missing module makes all its names unknown, and nobody reads thousands of lines.
    problems += islice(_meaning(reading), _MOST_MISTAKES)
    if problems:
        raise _invalid(folder, display_root, problems, checked)
    main = sources.main
    return Module(
        name=sources.module,
        folder=folder,
        digest=digest,
        location=main.location,
        version=main.text("version"),
        description=main.text("description"),
        dependencies={_full_name(entry): str(entry.value) for entry in main.entries("dependencies")},
        components=reading.components,
        assemblies={name: assembly for name, (assembly, _) in reading.assemblies.items()},
    )


def _open(
    folder: Path, display_root: Path | None, problems: list[Problem]
) -> tuple[_ModuleSources | None, list[Checked]]:
    """Read as many of the module's documents as possible."""
    main = open_document(folder / MODULE_FILE, "module", display_root, problems)
    files = sorted((folder / "assemblies").glob(f"*{ASSEMBLY_SUFFIX}"))
    others = {file: open_document(file, "assembly", display_root, problems) for file in files}
    checked = [document for document in (main, *others.values()) if document]
    if main is None or () in main.cursor.broken:
        return None, checked
    assemblies = {
        file.name.removesuffix(ASSEMBLY_SUFFIX): document.cursor
        for file, document in others.items()
        if document and () not in document.cursor.broken
    }
    return _ModuleSources(folder, display_root, main.cursor, assemblies), checked


def _digest(folder: Path, display_root: Path | None, problems: list[Problem]) -> str:
    try:
        return tree_digest(folder, display_root)
    except InvalidError as error:
        problems += error.problems
    except OSError as error:
        name = shown_file(Path(error.filename or folder), display_root)
        problems.append(Problem(f"the file can't be read: {error.strerror}", Location(name, 1, 1)))
    return ""


def _build(reading: _ModuleReading) -> None:
    sources, problems = reading.sources, reading.problems
    for entry in sources.main.entries("components"):
        reading.components[entry.name] = build_component(entry, sources.module, problems)
    for entry in sources.main.entries("assemblies"):
        reading.assemblies[entry.name] = build_assembly(entry, entry.name, sources.module, problems), entry
    for name, cursor in sources.assemblies.items():
        problems += _assembly_file_problems(name, cursor, reading)
        reading.assemblies[name] = build_assembly(cursor, name, sources.module, problems), cursor


def _assembly_file_problems(name: str, cursor: Cursor, reading: _ModuleReading) -> Iterator[Problem]:
    if name in reading.assemblies:
        first = reading.assemblies[name][0].location
        yield cursor.problem(f"assembly '{name}' is already defined in {first.file}, line {first.line}")
    written = cursor.get("name")
    if written and written.value != name:
        yield written.problem(f"the assembly is named '{written.value}', but its file '{name}'", expected=f"'{name}'")


def _full_name(entry: Cursor) -> str:
    return module_name(entry.name) or entry.name


def _resolve_modules(reading: _ModuleReading, find: FindModule | None) -> None:
    """Load the modules that this one depends on; one that can't be loaded is reported once."""
    for entry in reading.sources.main.entries("dependencies"):
        name = _full_name(entry)
        short = name.rpartition("/")[2]
        # Components are named by the module's short name, so two modules of the same name would be ambiguous.
        if short in reading.modules or short == reading.sources.module.rpartition("/")[2]:
            message = f"two modules have the short name '{short}', and components are named by the short name only"
            reading.problems.append(entry.key_problem(message))
            continue
        reading.modules[short] = _found(entry, name, find, reading.problems) if find else None


def _found(entry: Cursor, name: str, find: FindModule, problems: list[Problem]) -> Module | None:
    try:
        module = find(name)
    except InvalidError as error:
        problems.append(_dependency_problem(entry, name, error))
        return None
    requested = str(entry.value)
    if not satisfies(module.version, requested):
        version = module.version or "without a version"
        problems.append(entry.problem(f"module '{name}' is {version}", expected=requested))
    return module


def _dependency_problem(entry: Cursor, name: str, error: InvalidError) -> Problem:
    first = error.problems[0] if error.problems else Problem(error.message)
    if first.location is None:
        return entry.key_problem(first.message, near=first.nearest)
    return entry.key_problem(f"module '{name}' is invalid: {first}")


def _scope(reading: _ModuleReading) -> Scope:
    """Return the names that can be used; malformed definitions count as existing and are not reported again."""
    main = reading.sources.main
    defined = main.value.get("components")
    names = list(defined) if isinstance(defined, dict) else []
    broken = [
        name
        for name in names
        if name not in reading.components or _is_doubtful(Cursor(main.document, main.broken, ("components", name)))
    ]
    module = reading.sources.module
    return Scope(
        short_name=module.rpartition("/")[2],
        own={component.type: component for component in reading.components.values()},
        modules=reading.modules,
        doubtful=frozenset(component_type(module, name) for name in broken),
    )


def _is_doubtful(component: Cursor) -> bool:
    attributes = component.get("attributes")
    return component.is_partial or (attributes is not None and attributes.is_partial)


def _meaning(reading: _ModuleReading) -> Iterator[Problem]:
    # Imported late: they need Jinja2 and pyinfra's signatures, which a file that can't be parsed does not.
    from dtk.dsl.check.action import check_actions  # noqa: PLC0415
    from dtk.dsl.check.assembly import assembly_problems  # noqa: PLC0415
    from dtk.dsl.check.component import component_problems, cycle_problems  # noqa: PLC0415
    from dtk.dsl.check.template import Names  # noqa: PLC0415

    sources, scope = reading.sources, _scope(reading)
    for entry in sources.main.entries("components"):
        component = reading.components[entry.name]
        yield from component_problems(component, scope)
        names = Names(tuple(component.attributes), complete=component.type not in scope.doubtful)
        found: list[Problem] = []
        check_actions(entry, sources.folder, names, found, sources.display_root)
        yield from found
    yield from cycle_problems(scope.own)
    if sources.main.value.get("components") is None and sources.main.is_partial:
        return  # 'components' is misspelt: every name would be unknown
    for assembly, cursor in reading.assemblies.values():
        attributes = cursor.get("attributes")
        known = not cursor.is_partial and not (attributes is not None and attributes.is_partial)
        yield from assembly_problems(assembly, scope, complete=all_uses_are_known(cursor), attributes_known=known)


def _invalid(
    folder: Path, display_root: Path | None, problems: Iterable[Problem], checked: Iterable[Checked]
) -> InvalidError:
    return report(f"module in {shown_file(folder, display_root)} is invalid", problems, checked)
