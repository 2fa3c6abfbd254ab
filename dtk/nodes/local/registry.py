"""The registry of allocations of a workspace's local nodes: on disk before anything is done with a node."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from dtk.model.settings import as_mapping, text
from dtk.nodes.registry import broken, changing_section, read_section
from dtk.state.workspace import Workspace

_SECTION = "local"


@dataclass(frozen=True)
class Allocation:
    """What a local node was allocated: the address and port of its SSH server, its disk, its user."""

    service: str
    address: str
    port: int
    port_offset: int
    shared_address: bool
    home: str
    user: str


Allocations = dict[str, Allocation]
"""Allocations by ``LINEAGE/NODE``."""


def read_allocations(workspace: Workspace) -> Allocations:
    """Return the allocations of the workspace's local nodes.

    Raises:
        DtkError: the registry is broken, or a newer dtk wrote it.
    """
    return _allocations(workspace, read_section(workspace, _SECTION))


@contextmanager
def changing_allocations(workspace: Workspace) -> Iterator[Allocations]:
    """Provide the allocations for changes, and write them to disk at the end of the block.

    Raises:
        DtkError: another process holds the registry's lock for too long, or the same error as of
            ``read_allocations``.
    """
    with changing_section(workspace, _SECTION) as section:
        allocations = _allocations(workspace, section)
        yield allocations
        section.clear()
        section.update({key: asdict(allocation) for key, allocation in allocations.items()})


def _allocations(workspace: Workspace, section: Mapping[str, object]) -> Allocations:
    try:
        return {key: _allocation(value) for key, value in section.items()}
    except ValueError:
        raise broken(workspace, "a local node in it has no port") from None


def _allocation(value: object) -> Allocation:
    given = as_mapping(value)
    return Allocation(
        service=text(given, "service"),
        address=text(given, "address"),
        port=int(text(given, "port")),
        port_offset=int(text(given, "port_offset")),
        shared_address=given.get("shared_address") is True,
        home=text(given, "home"),
        user=text(given, "user"),
    )
