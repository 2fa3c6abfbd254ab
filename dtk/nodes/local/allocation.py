"""Addresses of local nodes: 127.77.S.N with one port, S a number per service; or 127.0.0.1 with a port per node.

An address counts as free when it can be bound and listened on, so that workspaces that know nothing of each other
never share one; and when no node has it that is switched off, here or in another workspace that has one running.
The listening socket is handed to the node's server: nothing can come between.
"""

from __future__ import annotations

import socket
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass

from dtk.errors import DtkError
from dtk.nodes.local.registry import Allocation, Allocations
from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.registry import node_key

_NETWORK = "127.77"
_SHARED_ADDRESS = "127.0.0.1"
_LAST_NUMBER = 254
# One port for all; the next ones only where something listens on every address of this machine with it.
_SSH_PORTS = range(2222, 2230)
_SHARED_PORT_STEP = 100
_SHARED_NODES = 300  # beyond them begin the ports that systems give to outgoing connections
_BACKLOG = 100


@dataclass(frozen=True)
class Endpoint:
    """Where a node's SSH server listens; ``port_offset`` is 0 where the node has its address for itself."""

    address: str
    port: int
    port_offset: int


@dataclass(frozen=True)
class NewNode:
    """What a node that is made now gets besides its endpoint."""

    home: str
    user: str
    shared_address: bool


Places = Collection[tuple[str, int]]
"""Addresses with their ports."""


def has_own_addresses() -> bool:
    """Say whether nodes can have an address each: on Linux every 127/8 address is there; macOS has only 127.0.0.1."""
    with socket.socket() as trial:
        try:
            trial.bind((f"{_NETWORK}.0.1", 0))
        except OSError:
            return False
    return True


def reserve(
    allocations: Allocations,
    identity: ServiceIdentity,
    node: str,
    new: NewNode,
    elsewhere: Callable[[], Places],
    *,
    listens: bool,
) -> tuple[Allocation, socket.socket | None]:
    """Find what a node was allotted, or allot it, in the registry, whose lock is held.

    Args:
        allocations: those of the workspace; changed, and the caller puts it on disk before anything else is done.
        identity: the node's service.
        node: its name.
        new: what it gets if it is not there yet.
        elsewhere: returns what nodes of other workspaces were allotted; called where an address is looked for.
        listens: whether a socket is wanted that listens at its address; another address is given where its own is
            taken by another process.

    Raises:
        DtkError: there is no free address.
    """
    key = node_key(identity, node)
    allocation = allocations.get(key)
    if allocation is not None and not listens:
        return allocation, None
    if allocation is not None:
        listening = _listen(Endpoint(allocation.address, allocation.port, allocation.port_offset))
        if listening is not None:
            return allocation, listening
        new = NewNode(allocation.home, allocation.user, allocation.shared_address)
    endpoint, listening = _find_endpoint(allocations, identity.lineage, elsewhere(), shared=new.shared_address)
    allocations[key] = Allocation(service=identity.service, **asdict(endpoint), **asdict(new))
    return allocations[key], listening


def _listen(endpoint: Endpoint) -> socket.socket | None:
    """Return a socket that listens there, None when something else does."""
    listening = socket.socket()
    # What a stopped node's last connections leave behind for a minute must not keep it from its address.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((endpoint.address, endpoint.port))
        # Two sockets can be bound to one address, but only one can listen: this decides.
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        return None
    return listening


def _find_endpoint(
    allocations: Allocations, lineage: str, elsewhere: Places, *, shared: bool
) -> tuple[Endpoint, socket.socket]:
    """Find a free place for one more node of a service, and listen there.

    Args:
        allocations: all nodes of the workspace; its lock is held.
        lineage: the service's.
        elsewhere: what nodes of other workspaces were allotted.
        shared: whether nodes share 127.0.0.1.

    Raises:
        DtkError: there is no free one.
    """
    taken = {(allocation.address, allocation.port) for allocation in allocations.values()} | set(elsewhere)
    for endpoint in _shared_endpoints() if shared else _own_endpoints(allocations, lineage):
        if (endpoint.address, endpoint.port) in taken:
            continue
        listening = _listen(endpoint)
        if listening is not None:
            return endpoint, listening
    raise DtkError("no free address for a local node", hint="destroy services that are not needed any more")


def _shared_endpoints() -> Iterator[Endpoint]:
    for index in range(_SHARED_NODES):
        offset = index * _SHARED_PORT_STEP
        yield Endpoint(_SHARED_ADDRESS, _SSH_PORTS[0] + offset, offset)


def _own_endpoints(allocations: Allocations, lineage: str) -> Iterator[Endpoint]:
    numbers = list(_service_numbers(allocations, lineage))
    for port in _SSH_PORTS:
        for service in numbers:
            for node in range(1, _LAST_NUMBER + 1):
                yield Endpoint(f"{_NETWORK}.{service}.{node}", port, 0)


def _service_numbers(allocations: Allocations, lineage: str) -> Iterator[int]:
    """Yield the service's own number, then those that no other service of the workspace has."""
    own: set[int] = set()
    others: set[int] = set()
    for key, allocation in allocations.items():
        if not allocation.shared_address:
            number = int(allocation.address.split(".")[2])
            (own if key.startswith(f"{lineage}/") else others).add(number)
    yield from sorted(own)
    # Each service begins elsewhere, so that those of several workspaces seldom meet.
    first = zlib.crc32(lineage.encode())
    for step in range(_LAST_NUMBER):
        number = (first + step) % _LAST_NUMBER + 1
        if number not in own | others:
            yield number
