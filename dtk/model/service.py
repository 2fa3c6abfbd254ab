"""A service's desired state, as read from services/NAME/service.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dtk.errors import Location
from dtk.model.json_data import Json
from dtk.model.module import ComponentUse, Node


@dataclass(frozen=True)
class AttributeSetting:
    """One line under ``attributes:``: the value as written and its location."""

    value: Json
    location: Location


@dataclass(frozen=True)
class LinkChoice:
    """One line under ``links:``: the chosen targets, empty for "not linked", and its location."""

    targets: tuple[str, ...]
    location: Location


@dataclass(frozen=True)
class Service:
    """Desired state. ``attributes`` maps paths (``slaves/cardinality``) to the values that users set.

    ``components`` maps a node's name (``assembly_wide`` for none) to the components added to it; ``nodes`` are added
    nodes and groups. ``removed`` maps removed parts of the assembly to their locations: nodes, members (``slaves:2``),
    components (``master/ring::roll``). ``links`` maps ``node/component/link`` to a choice. ``id`` identifies the
    service across renames and clones; "" in a file without one. ``access`` maps user names to public keys, "" for users
    whose access was revoked. ``digest`` covers the whole file except its id.
    """

    name: str
    module: str
    assembly: str
    target: str
    location: Location
    attributes: Mapping[str, AttributeSetting] = field(default_factory=dict)
    components: Mapping[str, tuple[ComponentUse, ...]] = field(default_factory=dict)
    nodes: Mapping[str, Node] = field(default_factory=dict)
    removed: Mapping[str, Location] = field(default_factory=dict)
    links: Mapping[str, LinkChoice] = field(default_factory=dict)
    id: str = ""
    digest: str = ""
    access: Mapping[str, str] = field(default_factory=dict)
