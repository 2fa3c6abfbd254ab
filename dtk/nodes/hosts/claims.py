"""Which host serves which node: on disk before anything is done with it."""

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
    """Which node a host serves."""

    service: str
    lineage: str
    node: str


Claims = dict[str, Claim]
"""Of one target, by the host's name."""


def read_claims(workspace: Workspace, target: str) -> Claims:
    """Return the claims on a target's hosts.

    Raises:
        DtkError: a newer dtk wrote the registry.
    """
    return {host: _claim(value) for host, value in mapping(read_section(workspace, _SECTION), target).items()}


@contextmanager
def changing_claims(workspace: Workspace, target: str) -> Iterator[Claims]:
    """Give the claims on a target's hosts to change; what it holds at the end is on disk before this returns.

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
