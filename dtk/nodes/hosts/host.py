"""The machines of a target hosts, and which of them are free for a node."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass

from dtk.model.names import group_of
from dtk.nodes.hosts.claims import Claim, Claims
from dtk.nodes.provider import Connection


@dataclass(frozen=True)
class Host:
    """A machine of dtk.yaml. ``nodes`` are the nodes or groups it is kept for; empty: for any."""

    name: str
    connection: Connection
    nodes: tuple[str, ...] = ()

    def serves(self, node: str) -> bool:
        """Say whether a node may claim this host."""
        return not self.nodes or node in self.nodes or group_of(node) in self.nodes


class FreeHosts:
    """The hosts that nobody has claimed, by the nodes that they are kept for: each is passed once, for all claims."""

    def __init__(self, hosts: Iterable[Host], claims: Claims) -> None:
        self._claims = claims
        self._kept: defaultdict[str, deque[tuple[int, Host]]] = defaultdict(deque)
        for place, host in enumerate(host for host in hosts if host.name not in claims):
            for name in dict.fromkeys(host.nodes) or ("",):
                self._kept[name].append((place, host))

    def take(self, claim: Claim) -> Host | None:
        """Claim the first free host for a node and return it; None where none is free.

        Those kept for this node or its group come first, so that it does not take one that others could have had.
        """
        kept = [self._first(name) for name in {claim.node, group_of(claim.node)}]
        found = min((one for one in kept if one), default=None, key=lambda one: one[0]) or self._first("")
        if found is None:
            return None
        self._claims[found[1].name] = claim
        return found[1]

    def _first(self, name: str) -> tuple[int, Host] | None:
        """Return the first host that is kept for a name and still free, with its place among all."""
        hosts = self._kept.get(name, deque())
        while hosts and hosts[0][1].name in self._claims:
            hosts.popleft()
        return hosts[0] if hosts else None
