"""The load balancer groups in which a node is registered, as its state records them."""

from __future__ import annotations

from collections.abc import Mapping

from dtk.model.settings import texts

REGISTERED = "registered_groups"
"""The node attribute with the groups in which the node is, or may be, registered."""
IN_SERVICE = "in_service"
"""The node attribute that is true once all of these groups found the node healthy."""


def registered_groups(attributes: Mapping[str, object]) -> tuple[str, ...]:
    """Return the groups in which a node is, or may be, registered."""
    return texts(attributes, REGISTERED)


def group_name(group: str) -> str:
    """Return a group's name for people: without the rest of its ARN, with its port."""
    start, slash, rest = group.partition(":targetgroup/")
    if not slash:
        return start
    name, _, id_ = rest.partition("/")
    _, colon, port = id_.partition(":")
    return f"{name}{colon}{port}"
