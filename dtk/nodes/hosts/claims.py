"""The claims of nodes on hosts: written to the registry on disk before anything is done with a host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from dtk.model.settings import as_mapping, mapping, text
from dtk.nodes.registry import changing_section, read_section
from dtk.state.workspace import Workspace

_SECTION = "hosts"


@dataclass(frozen=True)
class Claim:
    """The node that a host serves."""

    service: str
    lineage: str
    node: str


Claims = dict[str, Claim]
"""The claims of one target, by host name."""


def read_claims(workspace: Workspace, target: str) -> Claims:
    """Return the claims on a target's hosts.

    Raises:
        DtkError: a newer dtk wrote the registry.
    """
    return {host: _claim(value) for host, value in mapping(read_section(workspace, _SECTION), target).items()}


@contextmanager
def changing_claims(workspace: Workspace, target: str) -> Iterator[Claims]:
    """Provide the claims on a target's hosts for changes, and write them to disk at the end of the block.

    Raises:
        DtkError: another process holds the registry's lock for too long, or a newer dtk wrote it.
    """
    with changing_section(workspace, _SECTION) as section:
        claims = {host: _claim(value) for host, value in mapping(section, target).items()}
        yield claims
        section[target] = {host: asdict(claim) for host, claim in claims.items()}


def _claim(value: object) -> Claim:
    given = as_mapping(value)
    return Claim(text(given, "service"), text(given, "lineage"), text(given, "node"))
