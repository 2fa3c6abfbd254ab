"""Names: modules, component instances, node members and attribute paths, parsed and printed.

The forms are those of the original: ``namespace/name`` (users also write ``namespace:name``), ``module::component``
(just ``module`` when both words are equal), ``module::component[title]``, member ``slaves:1``, attribute paths
``attribute``, ``node/attribute``, ``node/component/attribute``, ``component/attribute``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

CREATE, DELETE = "create", "delete"
"""Actions and workflows built into dtk: the one that converges a component and the one that removes it."""

DESTROY = "delete_and_destroy"
"""The type of the task that terminates all nodes of a service and deletes the service."""
RESET = "destroy_and_reset_nodes"
"""The type of the task that terminates all nodes of a service but keeps the service."""
ASSEMBLY_WIDE = "assembly_wide"
"""The node name that assembly-wide components run on: the control process."""

_WORD = r"[A-Za-z][A-Za-z0-9_-]*"
_MODULE = re.compile(rf"^(?P<namespace>{_WORD})[:/](?P<name>{_WORD})$")
_COMPONENT = re.compile(rf"^(?P<type>{_WORD}(?:::{_WORD})?)(?:\[(?P<title>[^\[\]/]+)\])?$")
_MEMBER = re.compile(rf"^(?P<group>{_WORD}):(?P<index>[1-9][0-9]*)$")
_NODE = re.compile(rf"^{_WORD}$")


def module_name(text: str) -> str | None:
    """Return a module's name as ``namespace/name`` from either spelling; None if it is not one."""
    match = _MODULE.match(text)
    return f"{match['namespace']}/{match['name']}" if match else None


def assembly_name(text: str) -> tuple[str, str] | None:
    """Split ``ns/module/assembly`` or ``ns:module/assembly`` into module name and assembly name."""
    module, separator, assembly = text.rpartition("/")
    name = module_name(module)
    return (name, assembly) if separator and name and _NODE.match(assembly) else None


def is_node_name(text: str) -> bool:
    """Return whether a text can name a node or a node group."""
    return bool(_NODE.match(text))


def component_type(module: str, component: str) -> str:
    """Return a component's full type: ``mod::cmp``, or ``mod`` if the component has the module's name.

    Source: the original's naming rule, docs/original.md 4.1.
    """
    short = module.rpartition("/")[2]
    return short if component == short else f"{short}::{component}"


@dataclass(frozen=True, order=True)
class ComponentName:
    """A component instance's name: its type, and a title if a node can have several of the type."""

    type: str
    title: str = ""

    def __str__(self) -> str:
        return f"{self.type}[{self.title}]" if self.title else self.type

    @classmethod
    def parse(cls, text: str) -> ComponentName | None:
        """Return the parsed name, None if the text is not one."""
        match = _COMPONENT.match(text)
        return cls(match["type"], match["title"] or "") if match else None

    def means(self, other: ComponentName) -> bool:
        """Return whether this name refers to an instance; without a title it refers to all instances of its type."""
        return self.type == other.type and self.title in ("", other.title)


def member_name(group: str, index: int) -> str:
    """Return the name of a group's member; indices start at 1."""
    return f"{group}:{index}"


# Cached: called for each attribute and link of each member, 300,000 times for a plan of a thousand nodes.
@lru_cache(maxsize=65536)
def split_member(node: str) -> tuple[str, int] | None:
    """Split ``slaves:1`` into group and index; None for the name of a plain node."""
    match = _MEMBER.match(node)
    return (match["group"], int(match["index"])) if match else None


def group_of(node: str) -> str:
    """Return the declared name of a node: a member's group, else the node itself."""
    member = split_member(node)
    return member[0] if member else node


def node_order(node: str) -> tuple[str, int]:
    """Return the sort key of a node: by name, members by number (``slaves:2`` before ``slaves:10``)."""
    return split_member(node) or (node, 0)


def attribute_path(node: str, component: str, attribute: str) -> str:
    """Return a component attribute's path as users write it; assembly-wide ones have no node part."""
    prefix = "" if node == ASSEMBLY_WIDE else f"{node}/"
    return f"{prefix}{component}/{attribute}"


def component_path(node: str, component: str) -> str:
    """Return a component's path as users write it, ``node/component``; assembly-wide ones have no node part."""
    return component if node == ASSEMBLY_WIDE else f"{node}/{component}"
