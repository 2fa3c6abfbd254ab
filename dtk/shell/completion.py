"""Completion: locations, commands, options, and the names that a command's arguments accept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dtk.errors import UsageError
from dtk.shell.command_lines import commands_of, first_argument, has_command, options_of
from dtk.shell.contexts import Context, children, moved
from dtk.shell.session import BUILT_IN, Session
from dtk.shell.workspace_names import WorkspaceNames

Names = Callable[[WorkspaceNames, str], list[str]]

_PATH_COMMANDS = ("cd", "cc", "pushc", "ls", "list")


def _nodes(names: WorkspaceNames, service: str) -> list[str]:
    return list(names.nodes(service))


def _places(names: WorkspaceNames, service: str) -> list[str]:
    """Return where components can be added: ``NODE/TYPE``, or a type alone."""
    types = names.component_types()
    groups = [name for name in names.nodes(service) if ":" not in name]
    return [*types, *(f"{node}/{type_}" for node in groups for type_ in types)]


_NAMES: Mapping[str, tuple[Names, ...]] = {
    "set-attribute": (WorkspaceNames.attributes,),
    "exec": (WorkspaceNames.actions,),
    "workflow-info": (WorkspaceNames.workflows,),
    "add-component": (_places,),
    "delete-component": (WorkspaceNames.components,),
    "link": (WorkspaceNames.components, WorkspaceNames.components),
    "unlink": (WorkspaceNames.components,),
    "delete-node": (_nodes,),
    "info": (_nodes,),
    "ssh": (_nodes,),
    "logs": (_nodes,),
    "ps": (_nodes,),
    "netstat": (_nodes,),
    "start": (_nodes,),
    "stop": (_nodes,),
}
"""Functions that return the names for the words after the service, by command."""


def completions(session: Session, before: str) -> tuple[list[str], str]:
    """Return the possible completions of a line, and the part of a word that they replace.

    Args:
        session: the session, with its current location.
        before: the line up to the cursor.
    """
    words = before.split()
    piece = "" if not words or before[-1].isspace() else words.pop()
    found = _candidates(session.names, session.context, words, piece)
    return sorted({name for name in found if name.startswith(piece)}), piece


def _candidates(names: WorkspaceNames, context: Context, words: list[str], piece: str) -> list[str]:
    if not words:
        own = [] if "/" in piece else [*BUILT_IN, *(entry.name for entry in commands_of(context))]
        return [*own, *_paths(names, context, piece)]
    name = words[0]
    if name in _PATH_COMMANDS:
        return _paths(names, context, piece)
    if has_command(context, name):
        return list(options_of(name)) if piece.startswith("-") else _arguments(names, context, words)
    try:
        return _candidates(names, moved(names, context, name), words[1:], piece)
    except UsageError:
        return []


def _paths(names: WorkspaceNames, context: Context, piece: str) -> list[str]:
    """Return the locations that begin with a partial path, as they would be typed."""
    base, separator, _ = piece.rpartition("/")
    try:
        start = moved(names, context, f"{base}{separator}") if separator else context
    except UsageError:
        return []
    return [f"{base}{separator}{name}" for name in children(names, start)]


def _arguments(names: WorkspaceNames, context: Context, words: list[str]) -> list[str]:
    name, *given = words
    given = [word for word in given if not word.startswith("-")]
    written = first_argument(name)
    if not context.service:
        return _first_names(names, context, written, name) if not given else _of_service(names, name, given)
    return _short(context, name, _of_service(names, name, [context.service, *given]))


def _of_service(names: WorkspaceNames, name: str, given: list[str]) -> list[str]:
    """Return the names for the word after a service and the given words."""
    service, *others = given
    takes = _NAMES.get(name, ())
    return takes[len(others)](names, service) if len(others) < len(takes) and service in names.services() else []


def _short(context: Context, name: str, found: list[str]) -> list[str]:
    """Return paths without the current node's name, which commands like ``set-attribute`` add themselves."""
    if not context.node:
        return found
    prefix = f"{context.node}/"
    return [path.removeprefix(prefix) for path in found if path.startswith(prefix)] if name in _NAMES else []


def _first_names(names: WorkspaceNames, context: Context, written: str, name: str) -> list[str]:
    if context.module:
        return []
    services = names.services() if "SERVICE" in written else []
    modules = names.modules() if "MODULE" in written else []
    wants_assembly = "ASSEMBLY" in written or name in ("stage", "deploy")
    assemblies = [f"{module}/{one}" for module in names.modules() for one in names.assemblies(module)]
    return [*services, *modules, *(assemblies if wants_assembly else [])]
