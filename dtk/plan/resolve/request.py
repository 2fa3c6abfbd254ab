"""What a plan is made from."""

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
    """What a plan has done before one of its rounds: the ``nodes`` it made anew, the dynamic attributes (``paths``).

    Their values are known only once it runs. ``aside`` are nodes that the round leaves as they are, ``without`` those
    that it does not see.
    """

    nodes: frozenset[str] = frozenset()
    paths: frozenset[str] = frozenset()
    aside: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()


NOTHING_EARLIER = Earlier()


@dataclass(frozen=True)
class PlanRequest:
    """What a plan is made from.

    ``scope`` says which steps it holds: those whose inputs changed (``changes``), every one (``all``), or what the
    last task left undone (``resume``). ``workflow`` names one of the assembly's, or an action of a component:
    ``[NODE/]COMPONENT[.ACTION]``; ``parameters`` are what it is given, as texts.
    ``workspace`` is the workspace's id, ``service_digest`` that of what service.yaml says; "" where it is not asked.
    ``secrets`` are the keyed digests of secrets' present values, by reference, of those that are known here.
    ``replaces`` are the nodes that are to get another machine, in rounds; ``forced`` leaves out what components do
    before theirs goes. ``before`` is what earlier rounds of the same plan will have made. With ``deletes_volumes``
    what outlives machines goes with the service.
    ``findings`` are what a refresh found on the nodes; ``selection`` is the part of the service that is meant.
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
    before: Earlier = NOTHING_EARLIER
    selection: Selection = EVERYTHING
    workspace: str = ""
    service_digest: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict)

    @property
    def unfinished(self) -> Unfinished | None:
        """The last task of this workflow that did not succeed.

        A workflow or an action that was run in between (``dtk exec``) and did not succeed is no part of a converge.
        """
        found = self.state.unfinished
        return found.of(self.workflow) if found else None

    @property
    def drifted(self) -> Mapping[tuple[str, str], Sequence[str]]:
        """Why components, by node and name, are to be converged again although nothing about them was changed."""
        reasons: dict[tuple[str, str], list[str]] = {}
        for found in self.findings:
            if found.kind == "differs":
                reason = f"drifted: {found.operation} {found.what}"
                reasons.setdefault((found.node, found.component), []).append(reason)
        return reasons
