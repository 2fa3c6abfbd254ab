"""The machines of a hosts target, and which of them are free for a node."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from dtk.model.names import group_of
from dtk.nodes.hosts.claims import Claim, Claims
from dtk.nodes.provider import Connection


@dataclass(frozen=True)
class Host:
    """A machine in dtk.yaml. ``nodes`` are the nodes or groups that it is reserved for; empty means any."""

    name: str
    connection: Connection
    nodes: tuple[str, ...] = ()

    def serves(self, node: str) -> bool:
        """Return whether a node may claim this host."""
        return not self.nodes or node in self.nodes or group_of(node) in self.nodes


class FreeHosts:
    """The unclaimed hosts, indexed by what they are reserved for; all claims together visit each host once."""

    def __init__(self, hosts: Iterable[Host], claims: Claims) -> None:
        self._claims = claims
        self._kept: defaultdict[str, deque[tuple[int, Host]]] = defaultdict(deque)
        for place, host in enumerate(host for host in hosts if host.name not in claims):
            for name in dict.fromkeys(host.nodes) or ("",):
                self._kept[name].append((place, host))

    def take(self, claim: Claim) -> Host | None:
        """Claim the first free host for a node and return it; None if there is none.

        Hosts reserved for this node or its group come first, so that other hosts remain for other nodes.
        """
        kept = [self._first(name) for name in {claim.node, group_of(claim.node)}]
        found = min((one for one in kept if one), default=None, key=lambda one: one[0]) or self._first("")
        if found is None:
            return None
        self._claims[found[1].name] = claim
        return found[1]

    def _first(self, name: str) -> tuple[int, Host] | None:
        """Return the first free host that is reserved for a name, with its position among all hosts."""
        hosts = self._kept.get(name, deque())
        while hosts and hosts[0][1].name in self._claims:
            hosts.popleft()
        return hosts[0] if hosts else None
