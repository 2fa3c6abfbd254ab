"""Takes over local nodes that another folder of this machine created: copies their allocations and keys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dtk.disk.files import make_private_folder, replace_file
from dtk.errors import DtkError
from dtk.nodes.local.elsewhere import Elsewhere, nodes_elsewhere
from dtk.nodes.local.machine import machine_of
from dtk.nodes.local.registry import changing_allocations, read_allocations
from dtk.nodes.mark_errors import rival_error
from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.registry import node_key
from dtk.state.portable import own_key
from dtk.state.workspace import Workspace


def take_over(
    workspace: Workspace, identity: ServiceIdentity, nodes: Iterable[str], *, refuse_rivals: bool = False
) -> None:
    """Take over the nodes that another workspace of this machine created and this one does not know.

    Args:
        workspace: this workspace.
        identity: the service.
        nodes: the nodes that must be known here.
        refuse_rivals: refuse nodes created for a first state that another clone began.

    Raises:
        DtkError: a node is refused, or its files can't be read.
    """
    known = read_allocations(workspace)
    missing = [node for node in nodes if node_key(identity, node) not in known]
    found = {one.machine.marker: one for one in nodes_elsewhere(workspace)} if missing else {}
    for node in missing:
        there = found.get(node_key(identity, node))
        if there is None:
            continue
        if refuse_rivals and identity.is_rival(there.mark.origin):
            raise rival_error(identity.service, f"{node} runs from {there.machine.folder}")
        _take_over(workspace, identity, node, there)


def _take_over(workspace: Workspace, identity: ServiceIdentity, node: str, there: Elsewhere) -> None:
    here = machine_of(identity, node, there.machine.allocation)
    try:
        _copy(there.key, own_key(identity.folder), is_replaceable=not _has_nodes(workspace, identity))
        _copy(there.machine.host_key_file, here.host_key_file, is_replaceable=True)
    except OSError as error:
        raise DtkError(f"node '{node}' in {there.machine.folder} can't be taken over: {error.strerror}") from error
    with changing_allocations(workspace) as allocations:
        allocations[node_key(identity, node)] = there.machine.allocation


def _has_nodes(workspace: Workspace, identity: ServiceIdentity) -> bool:
    return any(key.startswith(f"{identity.lineage}/") for key in read_allocations(workspace))


def _copy(there: Path, here: Path, *, is_replaceable: bool) -> None:
    key = there.read_text(encoding="ascii")
    if here.exists() and here.read_text(encoding="ascii") == key:
        return
    if here.exists() and not is_replaceable:
        raise DtkError(
            f"{here} and {there} are different keys of the same service",
            hint="destroy the nodes of one of the two folders: dtk delete-and-destroy",
        )
    make_private_folder(here.parent)
    replace_file(here, key)
