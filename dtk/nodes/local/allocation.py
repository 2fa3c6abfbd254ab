"""Addresses of local nodes: 127.77.S.N with one port, S a number per service; or 127.0.0.1 with a port per node.

An address is free if it can be bound and listened on, so that workspaces that do not know each other never share one,
and if no stopped node has it, in this workspace or in another one that has a running node.
The listening socket is passed to the node's server, so that no other process can take the address in between.
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
# One port for all; the others serve only if a process listens with that port on every address of this machine.
_SSH_PORTS = range(2222, 2230)
_SHARED_PORT_STEP = 100
_SHARED_NODES = 300  # systems use the ports above for outgoing connections
_BACKLOG = 100


@dataclass(frozen=True)
class Endpoint:
    """The address of a node's SSH server; ``port_offset`` is 0 if the node has its own address."""

    address: str
    port: int
    port_offset: int


@dataclass(frozen=True)
class NewNode:
    """What a new node gets besides its endpoint."""

    home: str
    user: str
    shared_address: bool


Places = Collection[tuple[str, int]]
"""Pairs of address and port."""


def has_own_addresses() -> bool:
    """Return whether nodes can have their own addresses: Linux has all of 127/8, macOS only 127.0.0.1."""
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
    """Return a node's allocation; make one if it has none. The caller holds the registry's lock.

    Args:
        allocations: those of the workspace; changed, and written to disk by the caller before anything else is done.
        identity: the node's service.
        node: its name.
        new: what it gets if it does not exist yet.
        elsewhere: returns the addresses of nodes of other workspaces; called to find a free address.
        listens: whether to return a socket that listens at the address; the node gets another address if another
            process has taken its own.

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
    """Return a socket that listens at an endpoint, or None if it is taken."""
    listening = socket.socket()
    # The last connections of a stopped node block its address for a minute; this allows its reuse.
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((endpoint.address, endpoint.port))
        # Two sockets can be bound to one address, but only one can listen on it: this call decides.
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        return None
    return listening


def _find_endpoint(
    allocations: Allocations, lineage: str, elsewhere: Places, *, shared: bool
) -> tuple[Endpoint, socket.socket]:
    """Find a free endpoint for one more node of a service, and listen there.

    Args:
        allocations: all nodes of the workspace; the caller holds its lock.
        lineage: the service's lineage.
        elsewhere: the addresses of nodes of other workspaces.
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
    """Yield the service's own numbers, then those that no other service of the workspace has."""
    own: set[int] = set()
    others: set[int] = set()
    for key, allocation in allocations.items():
        if not allocation.shared_address:
            number = int(allocation.address.split(".")[2])
            (own if key.startswith(f"{lineage}/") else others).add(number)
    yield from sorted(own)
    # Each service starts at another number, so that services of different workspaces seldom collide.
    first = zlib.crc32(lineage.encode())
    for step in range(_LAST_NUMBER):
        number = (first + step) % _LAST_NUMBER + 1
        if number not in own | others:
            yield number
