"""The load balancer groups and DNS names in which a node is registered, as its state records them.

Both are texts: ``app``, ``app:8080``, an ARN, or ``dns:ZONE NAME TTL ADDRESS``.
"""

from __future__ import annotations

from collections.abc import Mapping

from dtk.model.settings import texts

DNS = "dns:"
"""The beginning of a text that is a DNS name."""

REGISTERED = "registered_groups"
"""The node attribute with the groups in which the node is, or may be, registered."""
IN_SERVICE = "in_service"
"""The node attribute that is true once all of these groups found the node healthy."""


def registered_groups(attributes: Mapping[str, object]) -> tuple[str, ...]:
    """Return the groups in which a node is, or may be, registered."""
    return texts(attributes, REGISTERED)


def is_dns_name(group: str) -> bool:
    """Return whether a text is a DNS name, which a node keeps while a step works on it."""
    return group.startswith(DNS)


def group_name(group: str) -> str:
    """Return the name of a group or of a DNS record for people: without the rest of its ARN, with its port."""
    if is_dns_name(group):
        return group.split(" ")[1].removesuffix(".")
    start, slash, rest = group.partition(":targetgroup/")
    if not slash:
        return start
    name, _, id_ = rest.partition("/")
    _, colon, port = id_.partition(":")
    return f"{name}{colon}{port}"


def balancer_group(group: str) -> str:
    """Return the name of a load balancer group alone: the same one for ``app``, ``app:8080`` and its ARN."""
    return group_name(group).partition(":")[0]


def address_attribute(group: str) -> str:
    """Return the node attribute with the address that a group or DNS name leads to."""
    return f"{group.rpartition(' ')[2]}_address" if is_dns_name(group) else "private_address"
