"""Translates a line of the shell into a command line: the commands of a location, and the arguments it adds.

The commands are those of the registry; nothing is defined twice. A location inserts its own name: in ``/service/x``,
the line ``converge`` means ``dtk converge x``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from dtk.cli.app import LazyCommand
from dtk.cli.registry import COMMANDS, LIFECYCLE, MODULES, NODES, SERVICE, TASKS, WORKSPACE, CommandEntry
from dtk.errors import UsageError
from dtk.shell.contexts import Context, Kind

STREAM_WORDS = ("-s", "--stream", "--stream-results")
"""Options to follow a task in the shell, which by default does not follow tasks (docs/original.md 2.2)."""

DETACH = "--detach"
_OF_SERVICE = (SERVICE, NODES, LIFECYCLE, TASKS)
_AREAS: Mapping[Kind, tuple[str, ...]] = {
    "root": (WORKSPACE, MODULES, *_OF_SERVICE),
    "services": _OF_SERVICE,
    "service": _OF_SERVICE,
    "utils": (NODES,),
    "service-modules": (MODULES,),
    "component-modules": (MODULES,),
}
_NOT_IN_SERVICE = ("ls", "stage", "deploy")
_NAMED: Mapping[Kind, tuple[str, ...]] = {
    "node": (
        "add-component",
        "delete-component",
        "info",
        "list-attributes",
        "list-components",
        "set-attribute",
        "start",
        "stop",
        "ssh",
        "logs",
        "ps",
        "netstat",
    ),
    "group": (
        "add-component",
        "delete-component",
        "list-attributes",
        "list-components",
        "set-attribute",
        "logs",
        "ps",
        "netstat",
    ),
    "member": ("info", "start", "stop", "ssh", "logs", "ps", "netstat"),
    "service-modules": ("info", "list-components"),
    "component-modules": ("info", "list-components"),
    "service-module": ("info", "list-assemblies", "list-components"),
    "assemblies": ("info", "list-assemblies"),
    "assembly": ("info", "stage", "deploy"),
    "component-module": ("info", "list-components"),
}
"""The commands of each location by name; those of nodes, groups and members are the original's (1.1)."""

_BEFORE_FIRST_WORD = ("add-component", "delete-component", "set-attribute")
_SETS_ATTRIBUTES = "set-attribute"  # PATH=VALUE, several times
_WITH_NODE_OPTION = ("list-attributes", "list-components")


def commands_of(context: Context) -> list[CommandEntry]:
    """Return the commands of a location, in the order of the registry."""
    kind = context.kind
    names = _NAMED.get(kind, ())
    areas = _AREAS.get(kind, ())
    hidden = ("shell", *(_NOT_IN_SERVICE if kind == "service" else ()))
    return [e for e in COMMANDS.values() if (e.area in areas or e.name in names) and e.name not in hidden]


def has_command(context: Context, name: str) -> bool:
    """Return whether a location has a command."""
    return any(entry.name == name for entry in commands_of(context))


def arguments(context: Context, words: Sequence[str], *, asynchronous: bool) -> list[str]:
    """Return the command line for a line of the shell.

    Args:
        context: the current location.
        words: the words of the line, beginning with a command.
        asynchronous: whether to start tasks without following them, unless the line asks for it.

    Raises:
        UsageError: the location has no such command.
    """
    name, *rest = words
    if not has_command(context, name):
        raise UsageError(f"'{name}' is not a command in this location", hint="help")
    if DETACH in options_of(name):
        follows = any(word in STREAM_WORDS for word in rest)
        rest = [word for word in rest if word not in STREAM_WORDS]
        if asynchronous and not follows and DETACH not in rest and not {"--help", "-h"} & set(rest):
            rest.append(DETACH)
    return [name, *_with_place(context, name, rest)]


def _with_place(context: Context, name: str, rest: list[str]) -> list[str]:
    kind = context.kind
    if context.node:
        return [context.service, *_with_node(context.node, name, rest)]
    if kind in ("service", "utils"):
        return [context.service, *rest] if takes_service(name) else rest
    if kind == "assembly":
        return [context.assembly, *rest]
    return [context.module, *rest] if context.module else rest


def _with_node(node: str, name: str, rest: list[str]) -> list[str]:
    if name in _WITH_NODE_OPTION:
        return ["--node", node, *rest]
    if name == _SETS_ATTRIBUTES and all("=" in word for word in rest if not word.startswith("-")):
        return [word if word.startswith("-") else f"{node}/{word}" for word in rest]
    if name in _BEFORE_FIRST_WORD:
        position = next((index for index, word in enumerate(rest) if not word.startswith("-")), None)
        return rest if position is None else [*rest[:position], f"{node}/{rest[position]}", *rest[position + 1 :]]
    return [node, *rest]


@cache
def _parameters(name: str) -> tuple[tuple[str, ...], str]:
    """Return a command's options and the metavar of its first argument."""
    command = LazyCommand(COMMANDS[name]).real()
    options = [o for parameter in command.params for o in parameter.opts if o.startswith("-")]
    written = [str(p.metavar or p.name) for p in command.params if p.param_type_name == "argument"]
    return tuple(options), written[0] if written else ""


def options_of(name: str) -> tuple[str, ...]:
    """Return a command's options, long and short."""
    return (*_parameters(name)[0], "--help")


def takes_service(name: str) -> bool:
    """Return whether a command's first argument is, or can be, a service."""
    return "SERVICE" in _parameters(name)[1]


def first_argument(name: str) -> str:
    """Return the metavar of a command's first argument, such as ``[SERVICE] PATH [VALUE]``."""
    return _parameters(name)[1]
