"""The input of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from dtk.model.module import Module
from dtk.model.names import CREATE
from dtk.model.plan import Finding, Rounds
from dtk.model.selection import EVERYTHING, Selection
from dtk.model.service import Service
from dtk.model.target import Target
from dtk.state.model import State, Unfinished

Scope = Literal["changes", "all", "resume"]


@dataclass(frozen=True)
class Earlier:
    """What earlier rounds of a plan have done: the ``nodes`` recreated and the dynamic attributes set (``paths``).

    Their values are known only when the plan runs. ``aside`` are nodes that this round leaves unchanged; those of them
    that were never reached are in ``nodes`` too. ``without`` are nodes that the round does not see.
    """

    nodes: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    aside: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()


NOTHING_EARLIER = Earlier()


@dataclass(frozen=True)
class PlanRequest:
    """The input of a plan.

    ``scope`` selects the steps: those whose inputs changed (``changes``), every step (``all``), or what the last task
    left undone (``resume``). ``workflow`` names a workflow of the assembly or a component's action,
    ``[NODE/]COMPONENT[.ACTION]``; ``parameters`` are its parameters, as texts.
    ``workspace`` is the workspace's id, ``service_digest`` the digest of service.yaml's content; "" if not needed.
    ``secrets`` are keyed digests of the current secret values known here, by reference.
    ``replaces`` are the nodes whose machines to replace, in rounds; ``forced`` skips component actions before those
    machines are terminated. ``before`` is what earlier rounds of the same plan will have done. With
    ``deletes_volumes``, ``volumes``, which outlive their machines, are deleted with the service.
    ``findings`` are what a refresh found on the nodes; ``selection`` limits the plan to part of the service.
    """

    service: Service
    modules: Mapping[str, Module]
    sources: Mapping[str, str]
    state: State
    target: Target
    workflow: str = CREATE
    scope: Scope = "changes"
    parameters: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    replaces: Rounds = ()
    forced: bool = False
    deletes_volumes: bool = False
    volumes: tuple[str, ...] = ()
    before: Earlier = NOTHING_EARLIER
    selection: Selection = EVERYTHING
    workspace: str = ""
    service_digest: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def unfinished(self) -> Unfinished | None:
        """The last task of this workflow that did not succeed.

        A different workflow or action that failed in between (``dtk exec``) does not count.
        """
        found = self.state.unfinished
        return found.of(self.workflow) if found else None

    @property
    def drifted(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """Why components must converge again although their definition did not change, by node and name."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for found in self.findings:
            if found.kind == "differs":
                reason = f"drifted: {found.operation} {found.what}"
                reasons.setdefault((found.node, found.component), []).append(reason)
        return reasons
