"""The plan: an explicit, complete list of what apply will do, and nothing else.

``dtk.plan.document`` writes it and reads it; the document's shape is schemas/plan.schema.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dtk.model.json_data import Json
from dtk.model.planned_action import PlannedAction

FORMAT_VERSION = 2
"""2 since a group's members are written by what differs from the first of them; in 1 each stands in full."""

NodeChangeKind = Literal["create", "start", "stop", "terminate", "replace", "resize", "grow", "keep"]
ComponentChangeKind = Literal["new", "changed", "unchanged", "delete"]
StepType = Literal[
    "create_node",
    "power_on_node",
    "power_off_node",
    "terminate_node",
    "resize_node",
    "grow_volumes",
    "configure_node",
    "configure_nodegroup",
    "action",
    "nodegroup actions",
    "create_nodegroup",
    "terminate_nodegroup",
]
FirewallChange = Literal["close", "open", "keep"]
Rounds = tuple[tuple[str, ...], ...]
"""Nodes in groups that are worked on one after the other."""
FindingKind = Literal["differs", "unreachable", "machine", "runs_each_time", "unchecked"]


@dataclass(frozen=True, kw_only=True)
class ModuleUse:
    """A module the plan was made from; apply refuses another digest."""

    name: str
    version: str = ""
    digest: str
    source: str = ""


@dataclass(frozen=True)
class NodeChange:
    """What happens to one node, and why."""

    node: str
    change: NodeChangeKind
    reason: str = ""


@dataclass(frozen=True)
class ValueDifference:
    """An attribute's whole value as it was applied and as it will be, where a reason shows a part of it."""

    attribute: str
    before: Json
    after: Json


@dataclass(frozen=True)
class ComponentChange:
    """Whether a component instance is new, changed or unchanged on one node, and why."""

    node: str
    component: str
    change: ComponentChangeKind
    reasons: tuple[str, ...] = ()
    differences: tuple[ValueDifference, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What ``plan --refresh`` found on a node: ``what`` in words, free of secrets.

    ``differs``: the operation would change something. ``unreachable``: the node could not be asked, and ``component``
    and ``operation`` are "". ``machine``: the machine is not what its node asks for. ``runs_each_time``: a command
    without a guard. ``unchecked``: it can't be told, and why.
    """

    node: str
    kind: FindingKind
    what: str
    component: str = ""
    operation: str = ""

    @property
    def is_drift(self) -> bool:
        """Whether the node is known not to be as it was left."""
        return self.kind in ("differs", "unreachable", "machine")


@dataclass(frozen=True)
class FirewallRule:
    """A port of the service's nodes and who may reach it, compared with what was open before."""

    change: FirewallChange
    port: int
    source: str


@dataclass(frozen=True)
class Step:
    """A step of a stage: a group with its members in ``steps``, or a leaf on one node.

    ``max_in_flight`` is a group's: how many of its members work at once, within what the stage allows.
    """

    number: str
    type: StepType
    node: str
    reason: str = ""
    node_attributes: Mapping[str, object] = field(default_factory=dict)
    actions: tuple[PlannedAction, ...] = ()
    steps: tuple[Step, ...] = ()
    max_in_flight: int | str | None = None

    def leaves(self) -> Iterator[Step]:
        """Yield the steps that do something, in order."""
        if self.steps:
            for step in self.steps:
                yield from step.leaves()
        else:
            yield self


@dataclass(frozen=True)
class Stage:
    """A level-1 part of the task; its nodes run at once, ``max_in_flight`` of them at a time.

    The first ``canary`` nodes run before all others, which do not start when one of these fails.
    """

    number: str
    name: str
    steps: tuple[Step, ...]
    max_in_flight: int | str | None = None
    canary: int | None = None

    def leaves(self) -> Iterator[Step]:
        """Yield the stage's leaves in order."""
        for step in self.steps:
            yield from step.leaves()


@dataclass(frozen=True)
class Plan:
    """The whole plan. ``task_type`` is the name in the table's first row (``assembly_converge``).

    ``serial`` and ``lineage`` name the state it was made from, ``workspace`` where the service is at home, and
    ``service_digest`` what its file said; ``destroys`` marks the plan of delete-and-destroy; ``resumes`` is the number
    of the task that this plan continues, 0 for none; ``leaves_unfinished`` that of the converge that is still to be
    resumed whatever becomes of this. ``parameters`` are those its workflow was given. ``drift`` and ``unchecked`` are
    what a refresh found on the nodes. ``firewall`` has every declared port that the target opens or no longer opens.
    ``only`` and ``exclude`` are the terms of the selection it was limited to, ``left_out`` the steps which that cost.
    ``replaces`` are the nodes that get another machine, in the rounds they do so; ``forced`` says that no action of a
    component runs before their machines go. ``volumes`` are those that outlive the machines which go for good:
    ``slaves:1 data (vol-0a1b, 500 GB)``; ``deletes_volumes`` says that the service's are deleted at the end.
    """

    dtk_version: str
    service: str
    assembly: str
    target: Mapping[str, object]
    task_type: str
    workflow: str
    lineage: str
    serial: int
    workspace: str = ""
    service_digest: str = ""
    modules: tuple[ModuleUse, ...] = ()
    nodes: tuple[NodeChange, ...] = ()
    components: tuple[ComponentChange, ...] = ()
    firewall: tuple[FirewallRule, ...] = ()
    stages: tuple[Stage, ...] = ()
    left_out: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    destroys: bool = False
    resumes: int = 0
    leaves_unfinished: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)
    replaces: Rounds = ()
    forced: bool = False
    volumes: tuple[str, ...] = ()
    deletes_volumes: bool = False
    drift: tuple[Finding, ...] = ()
    unchecked: tuple[Finding, ...] = ()
    digest: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.stages and all(rule.change == "keep" for rule in self.firewall)

    def leaves(self) -> Iterator[Step]:
        """Yield every leaf of every stage in order."""
        for stage in self.stages:
            yield from stage.leaves()
