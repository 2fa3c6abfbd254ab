"""The tags that tie an instance to its node, and the encoding of several node names in one tag.

One RunInstances call creates all equal nodes of a group, and all its instances get the same tags. ``dtk:nodes`` lists
the nodes of the call; an instance's launch index says which of them it is. So each instance is tied to its node from
the start, without a call per node, even if the answer is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from dtk import __version__
from dtk.model.names import group_of, member_name, split_member
from dtk.nodes.provider import ServiceIdentity
from dtk.state.identity import short_lineage

SERVICE, NODES, LINEAGE = "dtk:service", "dtk:nodes", "dtk:lineage"
WORKSPACE, VERSION, TOKEN = "dtk:workspace", "dtk:version", "dtk:token"
ORIGIN = "dtk:origin"
ADOPTED = "dtk:adopted"
"""On instances that dtk did not create."""
NODE, NAME = "dtk:node", "Name"
"""For people who search for an instance by its tags; dtk itself uses the tags above."""
OWN_PREFIX = "dtk:"
LONGEST_VALUE = 256
"""Maximum number of characters in a tag's value (AWS's limit)."""


def service_name(identity: ServiceIdentity) -> str:
    """Return the name of a service's own resources: its security group and its key pair."""
    return f"dtk-{identity.service}-{short_lineage(identity.lineage)}"


def service_tags(identity: ServiceIdentity) -> dict[str, str]:
    """Return the tags of all resources that are created for a service."""
    return {
        SERVICE: identity.service,
        LINEAGE: identity.lineage,
        **({WORKSPACE: identity.workspace} if identity.workspace else {}),
        **({ORIGIN: identity.origin} if identity.origin else {}),
        VERSION: __version__,
        NAME: service_label(identity),
    }


def service_label(identity: ServiceIdentity) -> str:
    """Return the name of a service's resources in AWS's console."""
    return f"dtk-{identity.service}"


def node_tags(identity: ServiceIdentity, node: str) -> dict[str, str]:
    """Return the tags that show people an instance's node."""
    return {NODE: node, NAME: f"{service_label(identity)}/{node}"}


def nodes_text(nodes: Sequence[str]) -> str:
    """Return the names of nodes as one text: ``master``, ``slaves:1-100``, ``slaves:1-2 slaves:5``."""
    return " ".join(_runs(nodes))


def _runs(nodes: Sequence[str]) -> Iterator[str]:
    for group, members in groupby(nodes, key=group_of):
        indices = [member[1] for node in members if (member := split_member(node))]
        if not indices:
            yield group
        for _, run in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
            numbers = [number for _, number in run]
            yield member_name(group, numbers[0]) + (f"-{numbers[-1]}" if len(numbers) > 1 else "")


def nodes_of(text: str) -> list[str]:
    """Return the names in a ``dtk:nodes`` tag, in the order of the call: the inverse of ``nodes_text``."""
    return [node for word in text.split() for node in _members(word)]


def _members(word: str) -> list[str]:
    group, separator, numbers = word.partition(":")
    if not separator:
        return [group]
    first, _, last = numbers.partition("-")
    return [member_name(group, index) for index in range(int(first), int(last or first) + 1)]


def node_of(tags: Mapping[str, str], launch_index: int) -> str:
    """Return the node of an instance, "" if its tags do not identify it."""
    nodes = nodes_in(tags)
    # With a single name in the tag, the instance is that node, whatever its index.
    return nodes[0] if len(nodes) == 1 else nodes[launch_index] if launch_index < len(nodes) else ""


def nodes_in(tags: Mapping[str, str]) -> list[str]:
    """Return the nodes of the call that created an instance; none if dtk did not write the tag."""
    try:
        return nodes_of(tags.get(NODES, ""))
    except ValueError:
        return []


def is_adopted(tags: Mapping[str, str]) -> bool:
    """Return whether an instance's tags say that dtk did not create it."""
    return tags.get(ADOPTED) == "true"


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags in the API's form."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
