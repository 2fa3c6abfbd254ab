"""The DNS name of a node as its attribute ``dns`` asks for it: pure data, for use in plans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dtk.model.membership import DNS
from dtk.model.names import group_of
from dtk.model.settings import text

TTL_SECONDS = 60


@dataclass(frozen=True)
class DnsName:
    """A name in a Route 53 zone, which ``zone`` names or has the id of; ``address`` is ``private`` or ``public``."""

    zone: str
    name: str
    ttl: int
    address: str


def dns_texts(wish: Mapping[str, object], node: str) -> Iterator[str]:
    """Yield the text of the DNS name that a node asks for, none without a zone.

    ``{node}`` stands for the node (``slaves-1``), ``{group}`` for its group. A name with a dot at its end is complete.
    """
    zone = text(wish, "zone")
    if not zone:
        return
    zone = zone if "." not in zone or zone.endswith(".") else f"{zone}."
    name = text(wish, "name", "{node}").replace("{node}", node.replace(":", "-")).replace("{group}", group_of(node))
    whole = name if name.endswith(".") else f"{name}.{zone}"
    yield f"{DNS}{zone} {whole.lower()} {text(wish, 'ttl', str(TTL_SECONDS))} {text(wish, 'address', 'private')}"


def parsed(name: str) -> DnsName:
    """Return the DNS name in a text of ``dns_texts``."""
    zone, whole, ttl, address = name.removeprefix(DNS).split(" ")
    return DnsName(zone, whole, int(ttl), address)
