"""Reads a service for listings: its files and state, read once, and lookups in them."""

from __future__ import annotations

from dtk.errors import UsageError
from dtk.model.names import assembly_name, module_name, split_member
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.rows import ComponentRow, component_rows
from dtk.plan.resolve.service import ResolvedService, resolve_service
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import Inputs, read_inputs


def read_service(service: str | None) -> tuple[Inputs, ResolvedService]:
    """Return the inputs and the resolved form of the service that a command line names.

    Raises:
        UsageError: there is no such service, or the choice is ambiguous.
        InvalidError: one of its files is invalid.
    """
    workspace = current_workspace()
    inputs = read_inputs(workspace, chosen_service(workspace, service))
    return inputs, resolve_service(inputs.request())


def declared_node(found: ResolvedService, node: str) -> str:
    """Return the node or group that a name refers to; for a member such as ``slaves:1``, its group.

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
    """Split ``[SERVICE] WORD…``: the first word is the service if it is a service's name and enough words follow.

    Args:
        words: the words as typed.
        least: the least number of words without the service.
        most: the greatest number of words without the service.
        usage: the usage of the command, for the error message.

    Raises:
        UsageError: there are too few or too many words.
    """
    names = current_workspace().service_names()
    if least < len(words) <= most + 1 and (words[0] in names or len(words) > most):
        return words[0], words[1:]
    if least <= len(words) <= most:
        return None, words
    raise UsageError(f"unexpected '{' '.join(words)}'", hint=usage)


def component_row(found: ResolvedService, path: str, service: str) -> ComponentRow:
    """Return the component at a path, ``node/component``.

    Raises:
        UsageError: there is none; the hint suggests the nearest path.
    """
    rows = {row.path: row for row in component_rows(found)}
    if path in rows:
        return rows[path]
    hint = did_you_mean(path, rows, f"dtk list-components {service}")
    raise UsageError(f"no component '{path}' in service '{service}'", hint=hint)


def means_module(text: str) -> bool:
    """Return whether a word names a module or an assembly and not a service of the workspace."""
    names_module = module_name(text) is not None or assembly_name(text) is not None
    return names_module and text not in current_workspace().service_names()


def checked_module_name(text: str) -> str:
    """Return the canonical name of a module, ``ns/name``.

    Raises:
        UsageError: the text is not of the form ``ns:name`` or ``ns/name``.
    """
    full = module_name(text)
    if full is None:
        raise UsageError(f"'{text}' is not a module's name", hint="write it as ns:name")
    return full
