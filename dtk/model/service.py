"""A service instance's desired state, as services/NAME/service.yaml says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from dtk.errors import Location
from dtk.model.json_data import Json
from dtk.model.module import ComponentUse, Node


@dataclass(frozen=True)
class AttributeSetting:
    """One line under ``attributes:``: the value as written, and where."""

    value: Json
    location: Location


@dataclass(frozen=True)
class LinkChoice:
    """One line under ``links:``: the chosen targets, none for "not linked", and where it is written."""

    targets: tuple[str, ...]
    location: Location


@dataclass(frozen=True)
class Service:
    """Desired state. ``attributes`` maps paths (``slaves/cardinality``) to what people set.

    ``components`` maps a node's name (``assembly_wide`` for none) to the components added to it; ``nodes`` are added
    nodes and groups. ``removed`` says what of the assembly the service does without, and where that is written: nodes,
    members (``slaves:2``), components (``master/ring::roll``). ``links`` maps ``node/component/link`` to a choice.
    ``id`` says which service it is, whatever it is called and wherever it is cloned; "" in a file that has none yet.
    ``access`` maps people's names to their public keys, "" for those whose access was taken away.
    ``digest`` is of all that the file says but its id.
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
