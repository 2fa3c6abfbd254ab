"""Loads dtk.yaml: the targets of a workspace and the sources of its modules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dtk import __version__
from dtk.dsl.cache import keep, key_of_file, recall
from dtk.dsl.store_section import store_problems, store_settings
from dtk.dsl.yaml.checked_document import open_document, report
from dtk.dsl.yaml.cursor import Cursor
from dtk.dsl.yaml.schema import listed, shown
from dtk.dsl.yaml.target_schema import setting_violations
from dtk.errors import InvalidError, Problem, UsageError
from dtk.model.executor import DaskCluster, Executor
from dtk.model.names import module_name
from dtk.model.settings import mapping
from dtk.model.store_settings import StoreSettings
from dtk.model.suggestion import did_you_mean, nearest
from dtk.model.target import Target
from dtk.model.written import as_written
from dtk.targets import BUILT_IN, EMBEDDED, UnknownTypeError, describe


@dataclass(frozen=True)
class ModuleSource:
    """The source of a module, as written; "" for the default branch and for the source's root folder."""

    source: str
    ref: str = ""
    path: str = ""


@dataclass(frozen=True)
class WorkspaceConfiguration:
    """The content of dtk.yaml; ``targets`` always includes the embedded ``local``.

    ``module_sources`` maps a namespace, or ``*``, to a URL with ``{namespace}`` and ``{name}`` in it. ``id`` identifies
    the workspace in every clone; "" in a file without one. ``store`` is the shared store of the state, None if the
    state is only local. ``executor`` says where the processes run that hold connections to nodes.
    """

    default_target: str
    targets: Mapping[str, Target]
    modules: Mapping[str, ModuleSource] = field(default_factory=dict)
    module_sources: Mapping[str, str] = field(default_factory=dict)
    id: str = ""
    store: StoreSettings | None = None
    executor: Executor = Executor()  # noqa: RUF009 - it is frozen

    def target(self, name: str) -> Target:
        """Return a target by name; "" means the default target.

        Raises:
            UsageError: there is no target of that name.
        """
        requested = name or self.default_target
        if requested in self.targets:
            return self.targets[requested]
        hint = did_you_mean(requested, self.targets, f"dtk.yaml has {', '.join(self.targets)}")
        raise UsageError(f"no target '{requested}' in dtk.yaml", hint=hint)


def load_workspace(file: Path, display_root: Path | None = None) -> WorkspaceConfiguration:
    """Load a dtk.yaml.

    Args:
        file: the dtk.yaml.
        display_root: messages name the file relative to this folder.

    Raises:
        InvalidError: the file is invalid; the error lists all problems in file order.
    """
    key = key_of_file("workspace", file, display_root)
    if key and (kept := recall(key, WorkspaceConfiguration)) is not None:
        return kept
    configuration = _build(file, display_root)
    # Don't cache other targets: another distribution can change what its target accepts.
    if key and all(target.type in BUILT_IN for target in configuration.targets.values()):
        keep(key, configuration)
    return configuration


def _build(file: Path, display_root: Path | None) -> WorkspaceConfiguration:
    problems: list[Problem] = []
    checked = open_document(file, "workspace", display_root, problems)
    if checked and () not in checked.cursor.broken:
        problems += [*_version_problems(checked.cursor), *_default_problems(checked.cursor)]
        problems += store_problems(checked.cursor)
        problems += (problem for target in checked.cursor.entries("targets") for problem in _target_problems(target))
    if problems or checked is None:
        raise report("the workspace is invalid", problems, [checked] if checked else [])
    cursor = checked.cursor
    targets = {entry.name: _target(entry) for entry in cursor.entries("targets")}
    return WorkspaceConfiguration(
        cursor.text("default_target", EMBEDDED.name),
        {EMBEDDED.name: EMBEDDED, **targets},
        {module_name(entry.name) or entry.name: _module(entry) for entry in cursor.entries("modules")},
        {entry.name: str(entry.value) for entry in cursor.entries("module_sources")},
        cursor.text("workspace"),
        store_settings(cursor),
        _executor(cursor),
    )


def _executor(cursor: Cursor) -> Executor:
    workers, section = cursor.get("workers"), cursor.get("executor")
    count = workers.value if workers is not None and isinstance(workers.value, int) else 0
    if section is None or section.text("type") != "dask":
        return Executor(count)
    return Executor(count, DaskCluster(**{name: section.text(name) for name in DaskCluster.__dataclass_fields__}))


def _module(cursor: Cursor) -> ModuleSource:
    return ModuleSource(cursor.text("source"), cursor.text("ref"), cursor.text("path"))


def _target(cursor: Cursor) -> Target:
    settings = {entry.name: as_written(entry.value) for entry in cursor.entries() if entry.name != "type"}
    return Target(cursor.name, describe(cursor.text("type")), settings)


def _target_problems(cursor: Cursor) -> Iterator[Problem]:
    """Yield the problems of a target, according to its type; none without a type."""
    type_ = cursor.get("type")
    if type_ is None:
        return
    try:
        found = setting_violations(cursor.value, describe(str(type_.value)))
    except UnknownTypeError as error:
        expected, near = listed(error.known), nearest(str(type_.value), error.known)
        yield type_.problem(f"invalid value {shown(type_.value)}", expected=expected, near=near)
        return
    except InvalidError as error:
        yield type_.problem(error.message)
        return
    for violation in found:
        yield replace(violation, path=(*cursor.path, *violation.path)).problem(cursor.document)
    if not found:
        yield from _word_problems(cursor)


def _version_problems(cursor: Cursor) -> Iterator[Problem]:
    """Yield a problem if ``required_version`` (a PEP 440 specifier) excludes this dtk, or is invalid."""
    required = cursor.get("required_version")
    if required is None:
        return
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415 - few workspaces have it

    try:
        allowed = SpecifierSet(str(required.value))
    except InvalidSpecifier:
        yield required.problem(f"'{required.value}' is not a valid version specifier", expected="for example >=1.2,<2")
        return
    if not allowed.contains(__version__, prereleases=True):
        message = f"the workspace requires dtk {required.value}, but this is dtk {__version__}"
        yield required.problem(message, expected=f"that version: pip install 'dtk-cluster{required.value}'")


def _word_problems(cursor: Cursor) -> Iterator[Problem]:
    """Yield the values in a target's defaults for its nodes that the target can't use."""
    target, defaults = _target(cursor), cursor.get("defaults")
    if defaults is None:
        return
    for wrong in target.description.wrong_values(target, mapping(target.settings, defaults.name)):
        default = defaults.get(wrong.attribute) or defaults
        yield default.problem(
            wrong.message(target.name), expected=wrong.expected, near=nearest(wrong.word, wrong.known)
        )


def _default_problems(cursor: Cursor) -> Iterator[Problem]:
    default = cursor.get("default_target")
    given = cursor.value.get("targets")
    names = [EMBEDDED.name, *(given if isinstance(given, dict) else ())]
    if default and default.value not in names and not cursor.is_partial:
        message = f"no target '{default.value}'"
        yield default.problem(message, expected=" or ".join(names), near=nearest(str(default.value), names))
