"""The modules that a workspace can use, found by name and loaded once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dtk.model.module import Module
from dtk.state.workspace import Workspace


class Catalog:
    """Modules below several roots (``ROOT/NS/NAME``); the first root that has a name wins."""

    def __init__(self, roots: Sequence[Path], display_root: Path | None = None) -> None:
        self.roots = tuple(roots)
        self.display_root = display_root
        self._loaded: dict[str, Module] = {}

    def names(self) -> list[str]:
        """Return the names of all modules there are, sorted."""
        raise NotImplementedError

    def find(self, name: str) -> Module:
        """Return a module by ``ns/name`` or ``ns:name``.

        Raises:
            InvalidError: there is none, with the nearest name; or it is invalid.
        """
        raise NotImplementedError

    def with_dependencies(self, name: str) -> Mapping[str, Module]:
        """Return a module and every module it depends on, directly or not, by name."""
        raise NotImplementedError

    def providing(self, component: str) -> Sequence[Module]:
        """Return the modules that define a component type (``gitarchive`` or ``dask::worker``)."""
        raise NotImplementedError


def load_catalog(workspace: Workspace) -> Catalog:
    """Return the catalog of a workspace: its own modules, the installed ones, those that come with dtk."""
    raise NotImplementedError
