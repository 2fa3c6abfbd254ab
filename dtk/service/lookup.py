"""A service read for a listing: its files and state, looked up once."""

from __future__ import annotations

from dtk.errors import UsageError
from dtk.model.names import assembly_name, module_name, split_member
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.rows import ComponentRow, component_rows
from dtk.plan.resolve.service import ResolvedService, resolve_service
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import Inputs, read_inputs


def read_service(service: str | None) -> tuple[Inputs, ResolvedService]:
    """Return everything about the service that a command line names.

    Raises:
        UsageError: there is none, or which one is not clear.
        InvalidError: a file of it is invalid.
    """
    workspace = current_workspace()
    inputs = read_inputs(workspace, chosen_service(workspace, service))
    return inputs, resolve_service(inputs.request())


def declared_node(found: ResolvedService, node: str) -> str:
    """Return the node or group that a word means; a member's group for ``slaves:1``.

    Raises:
        UsageError: the service has no such node.
    """
    member = split_member(node)
    name = member[0] if member else node
    if name in found.topology.assembly.nodes and (not member or node in found.topology.nodes):
        return name
    names = [*found.topology.assembly.nodes, *found.topology.nodes]
    hint = did_you_mean(node, names, f"there are {', '.join(found.topology.assembly.nodes) or 'none'}")
    raise UsageError(f"no node '{node}' in service '{found.service.name}'", hint=hint)


def service_and_words(words: list[str], least: int, most: int, usage: str) -> tuple[str | None, list[str]]:
    """Split ``[SERVICE] WORD…``: the service is there when its name comes first and enough words follow.

    Args:
        words: as typed.
        least: the fewest words a command has besides the service.
        most: the most.
        usage: how the command is written, for the mistake.

    Raises:
        UsageError: there are too few or too many words.
    """
    names = current_workspace().service_names()
    if least < len(words) <= most + 1 and (words[0] in names or len(words) > most):
        return words[0], words[1:]
    if least <= len(words) <= most:
        return None, words
    raise UsageError(f"'{' '.join(words)}' is not what is expected here", hint=usage)


def component_row(found: ResolvedService, path: str, service: str) -> ComponentRow:
    """Return the component at a path, ``node/component``.

    Raises:
        UsageError: there is none; with the nearest path.
    """
    rows = {row.path: row for row in component_rows(found)}
    if path in rows:
        return rows[path]
    hint = did_you_mean(path, rows, f"dtk list-components {service}")
    raise UsageError(f"no component '{path}' in service '{service}'", hint=hint)


def means_module(text: str) -> bool:
    """Say whether a word names a module or an assembly, and no service of the workspace."""
    names_module = module_name(text) is not None or assembly_name(text) is not None
    return names_module and text not in current_workspace().service_names()


def checked_module_name(text: str) -> str:
    """Return a module's name as it is kept, ``ns/name``.

    Raises:
        UsageError: it is written otherwise than ``ns:name`` or ``ns/name``.
    """
    full = module_name(text)
    if full is None:
        raise UsageError(f"'{text}' is not a module's name", hint="write it as ns:name")
    return full
