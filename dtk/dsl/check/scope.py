"""The components that a module can name: its own, and those of the modules it depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dtk.errors import Location, Problem
from dtk.model.module import Component, Module
from dtk.model.suggestion import nearest


@dataclass(frozen=True)
class Scope:
    """What can be named, and what is unknown because of other problems.

    ``own`` maps the module's component types to components. ``modules`` maps the short names of its dependencies to
    modules, None for one that could not be loaded. ``doubtful`` are own types with malformed definitions, which were
    already reported.
    """

    short_name: str
    own: Mapping[str, Component]
    modules: Mapping[str, Module | None] = field(default_factory=dict)
    doubtful: frozenset[str] = frozenset()

    def component(self, type_: str) -> Component | None:
        """Return the component of a type, None if it does not exist or is not known."""
        if type_ in self.own:
            return self.own[type_]
        module = self.modules.get(type_.partition("::")[0])
        found = (
            (component for component in module.components.values() if component.type == type_) if module else iter(())
        )
        return next(found, None)

    def attributes_known(self, type_: str) -> bool:
        """Return whether a component and all its attributes are known."""
        return self.component(type_) is not None and type_ not in self.doubtful

    def is_foreign(self, type_: str) -> bool:
        """Return whether a type is of a module that this one does not depend on."""
        short = type_.partition("::")[0]
        return short != self.short_name and short not in self.modules

    def unknown(self, type_: str, location: Location) -> Problem | None:
        """Return the problem if a type names no component; None if it does, or if this is unknown."""
        short = type_.partition("::")[0]
        if self.component(type_) or type_ in self.doubtful or (short in self.modules and self.modules[short] is None):
            return None
        near = nearest(type_, self._types())
        if short != self.short_name and short not in self.modules and not near:
            return Problem(
                f"no component '{type_}': module '{short}' is not among the dependencies",
                location,
                expected="a component of this module or of one listed under dependencies",
            )
        return Problem(f"no component '{type_}'", location, nearest=near)

    def _types(self) -> list[str]:
        foreign = [module.components.values() for module in self.modules.values() if module]
        return [*self.own, *(component.type for components in foreign for component in components)]
