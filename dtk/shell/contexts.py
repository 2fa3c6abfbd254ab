"""Locations in the shell: paths such as ``/service/spark-cluster1/master``, and how ``cd`` moves between them.

Source: docs/original.md 2.1. The words of a path alternate between kinds and names; the level ``node`` is optional.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from dtk.errors import UsageError
from dtk.model.names import split_member

Kind = Literal[
    "root",
    "services",
    "service",
    "node",
    "group",
    "member",
    "utils",
    "service-modules",
    "service-module",
    "assemblies",
    "assembly",
    "component-modules",
    "component-module",
]
UTILS = "utils"
"""The location of commands about nodes (logs, processes, ports) in the original. A node named so takes precedence."""
SERVICE, SERVICE_MODULE, COMPONENT_MODULE, ASSEMBLY, NODE = (
    "service",
    "service-module",
    "component-module",
    "assembly",
    "node",
)
_KINDS: dict[tuple[str, int], Kind] = {
    (SERVICE, 1): "services",
    (SERVICE, 2): "service",
    (SERVICE_MODULE, 1): "service-modules",
    (SERVICE_MODULE, 2): "service-module",
    (SERVICE_MODULE, 3): "assemblies",
    (SERVICE_MODULE, 4): "assembly",
    (COMPONENT_MODULE, 1): "component-modules",
    (COMPONENT_MODULE, 2): "component-module",
}


class KnownNames(Protocol):
    """The names that locations can have."""

    def services(self) -> list[str]:
        """Return the names of the services."""

    def nodes(self, service: str) -> dict[str, bool]:
        """Return a service's nodes, groups and members by name; the value is True for a group."""

    def modules(self) -> list[str]:
        """Return the modules as ``ns:name``."""

    def assemblies(self, module: str) -> list[str]:
        """Return the names of a module's assemblies."""


@dataclass(frozen=True)
class Context:
    """A location, by the words of its path; ``is_group`` is True if a node's location is that of a group."""

    words: tuple[str, ...] = ()
    is_group: bool = False
    is_utils: bool = False

    @property
    def kind(self) -> Kind:
        """The kind of the location."""
        if not self.words:
            return "root"
        if self.is_utils:
            return "utils"
        if self.words[0] == SERVICE and len(self.words) == 3:
            return "group" if self.is_group else "member" if split_member(self.words[2]) else "node"
        return _KINDS[self.words[0], len(self.words)]

    @property
    def path(self) -> str:
        """The path, as shown in the prompt."""
        return "/" + "/".join(self.words)

    @property
    def service(self) -> str:
        """The service of the location, "" if there is none."""
        return self.words[1] if self.kind in ("service", "utils", "node", "group", "member") else ""

    @property
    def node(self) -> str:
        """The node, group or member of the location, "" if there is none."""
        return self.words[2] if self.kind in ("node", "group", "member") else ""

    @property
    def module(self) -> str:
        """The module of the location as ``ns:name``, "" if there is none."""
        return self.words[1] if len(self.words) > 1 and self.words[0] != SERVICE else ""

    @property
    def assembly(self) -> str:
        """The assembly of the location as ``ns:name/assembly``, "" if there is none."""
        return f"{self.module}/{self.words[3]}" if self.kind == "assembly" else ""


ROOT = Context()


def children(names: KnownNames, context: Context) -> list[str]:
    """Return the names of the locations directly below one."""
    found: dict[Kind, Callable[[], list[str]]] = {
        "root": lambda: [COMPONENT_MODULE, SERVICE, SERVICE_MODULE],
        "services": names.services,
        "service": lambda: [*dict.fromkeys([*names.nodes(context.service), UTILS])],
        "service-modules": lambda: [module for module in names.modules() if names.assemblies(module)],
        "component-modules": names.modules,
        "service-module": lambda: [ASSEMBLY],
        "assemblies": lambda: names.assemblies(context.module),
    }
    return found[context.kind]() if context.kind in found else []


def moved(names: KnownNames, current: Context, path: str) -> Context:
    """Return the location that a path leads to; it may be absolute or relative, contain ``..`` and end with a slash.

    Raises:
        UsageError: there is no such location.
    """
    context = ROOT if path.startswith("/") else current
    for word in path.split("/"):
        if word == "..":
            context = Context(context.words[:-1])
        elif word not in ("", ".") and not (word == NODE and context.kind == "service"):
            context = _entered(names, context, word)
    return context


def _entered(names: KnownNames, context: Context, word: str) -> Context:
    known = children(names, context)
    if word not in known:
        is_kind = context.kind in ("root", "service-module")
        message = f"'{word}' is not a valid location" if is_kind else f"Identifier '{word}' is not valid."
        raise UsageError(message, hint=f"valid here: {', '.join(known[:10])}" if known else "cd ..")
    nodes = names.nodes(context.service) if context.kind == "service" else {}
    is_utils = context.kind == "service" and word == UTILS and word not in nodes
    return Context((*context.words, word), nodes.get(word, False), is_utils)


def still_there(names: KnownNames, context: Context) -> Context:
    """Return the location, or the nearest one above it that still exists."""
    while context.words:
        try:
            return moved(names, ROOT, context.path)
        except UsageError:
            context = Context(context.words[:-1])
    return ROOT
