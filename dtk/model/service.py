"""A service instance's desired state, as services/NAME/service.yaml says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dtk.errors import Location
from dtk.model.module import ComponentUse


@dataclass(frozen=True)
class AttributeSetting:
    """One line under ``attributes:``: the value as written, and where."""

    value: Any
    location: Location


@dataclass(frozen=True)
class Service:
    """Desired state. ``attributes`` maps paths (``slaves/cardinality``) to what people set.

    ``components`` maps a node's name (``assembly_wide`` for none) to the components added to it.
    """

    name: str
    module: str
    assembly: str
    target: str
    location: Location
    attributes: Mapping[str, AttributeSetting] = field(default_factory=dict)
    components: Mapping[str, tuple[ComponentUse, ...]] = field(default_factory=dict)
