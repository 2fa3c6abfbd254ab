"""The names that the shell completes, read from the workspace's files and cached until the files change."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dtk.errors import DtkError
from dtk.state.workspace import Workspace

if TYPE_CHECKING:
    from dtk.dsl.catalog import Catalog
    from dtk.plan.resolve.service import ResolvedService

Found = TypeVar("Found")


class WorkspaceNames:
    """The names in a workspace; nothing for files that can't be read, because the commands report the errors."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._services: dict[str, tuple[Any, ResolvedService | None]] = {}

    @cached_property
    def catalog(self) -> Catalog:
        """The modules, as of the first use in the shell."""
        from dtk.dsl.catalog import load_catalog  # noqa: PLC0415 - the prompt appears before modules are read

        return load_catalog(self.workspace)

    def services(self) -> list[str]:
        """Return the names of the services."""
        return self.workspace.service_names()

    def nodes(self, service: str) -> dict[str, bool]:
        """Return a service's nodes, groups and members by name; the value is True for a group."""
        found = self.resolved(service)
        if found is None:
            return {}
        groups = {name: True for name, node in found.topology.assembly.nodes.items() if node.is_group}
        return groups | dict.fromkeys(found.topology.nodes, False)

    def modules(self) -> list[str]:
        """Return the modules as ``ns:name``."""
        names: list[str] = _or([], lambda: list(self.catalog.names()))
        return [name.replace("/", ":", 1) for name in names]

    def assemblies(self, module: str) -> list[str]:
        """Return the names of a module's assemblies."""
        found: list[str] = _or([], lambda: list(self.catalog.find(module).assemblies))
        return found

    def attributes(self, service: str) -> list[str]:
        """Return the paths of the attributes that can be set."""
        from dtk.plan.resolve.rows import attribute_rows  # noqa: PLC0415 - as above

        found = self.resolved(service)
        return [row.path for row in attribute_rows(found) if row.is_editable] if found else []

    def hidden_attributes(self, service: str) -> list[str]:
        """Return the names of the attributes whose values are never shown."""
        from dtk.plan.resolve.rows import all_attribute_rows  # noqa: PLC0415 - as above

        found = self.resolved(service)
        return [r.attribute for r in all_attribute_rows(found) if r.hidden or r.secret] if found else []

    def components(self, service: str) -> list[str]:
        """Return the components as ``node/component``."""
        from dtk.plan.resolve.rows import component_rows  # noqa: PLC0415 - as above

        found = self.resolved(service)
        return [row.path for row in component_rows(found)] if found else []

    def component_types(self) -> list[str]:
        """Return the component types of all modules."""
        modules = [_or(None, lambda name=name: self.catalog.find(name)) for name in self.modules()]  # type: ignore[misc]
        return sorted({c.type for module in modules if module for c in module.components.values()})

    def actions(self, service: str) -> list[str]:
        """Return the actions that ``exec`` can run."""
        from dtk.cli.action_rows import action_rows  # noqa: PLC0415 - as above

        found = self.resolved(service)
        return [name for name, _ in action_rows(found)] if found else []

    def workflows(self, service: str) -> list[str]:
        """Return the names of a service's workflows."""
        found = self.resolved(service)
        return list(found.topology.assembly.workflows) if found else []

    def resolved(self, service: str) -> ResolvedService | None:
        """Return the service in its current state, or None if it can't be read."""
        from dtk.state.store import journal_of  # noqa: PLC0415 - as above

        state = self.workspace.state_file(service)
        stamp = [_stamp(file) for file in (self.workspace.service_file(service), state, journal_of(state))]
        if service not in self._services or self._services[service][0] != stamp:
            self._services[service] = (stamp, _or(None, lambda: self._read(service)))
        return self._services[service][1]

    def _read(self, service: str) -> ResolvedService:
        from dtk.plan.resolve.service import resolve_service  # noqa: PLC0415
        from dtk.service.planning import read_inputs  # noqa: PLC0415 - as above

        return resolve_service(read_inputs(self.workspace, service).request())


def _or(otherwise: Found, read: Callable[[], Found]) -> Found:
    try:
        return read()
    except (DtkError, KeyError):
        return otherwise


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_ino
