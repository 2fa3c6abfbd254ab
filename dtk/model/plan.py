"""The plan: the explicit and complete list of what apply will do.

``dtk.plan.document`` writes and reads it; schemas/plan.schema.json defines the document's structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dtk.model.json_data import Json
from dtk.model.names import RESET
from dtk.model.planned_action import PlannedAction

FORMAT_VERSION = 2
"""Version 2 stores a group's members as differences from the first member; version 1 stores each in full."""

NodeChangeKind = Literal[
    "create", "start", "stop", "terminate", "release", "replace", "resize", "grow", "modify", "keep"
]
ComponentChangeKind = Literal["new", "changed", "unchanged", "delete"]
StepType = Literal[
    "create_node",
    "power_on_node",
    "power_off_node",
    "terminate_node",
    "release_node",
    "resize_node",
    "modify_volumes",
    "register_node",
    "deregister_node",
    "configure_node",
    "configure_nodegroup",
    "action",
    "nodegroup actions",
    "create_nodegroup",
    "terminate_nodegroup",
]
GOING: tuple[NodeChangeKind, ...] = ("terminate", "release")
"""The changes of nodes that go: their machines are terminated, or released if dtk only adopted them."""
ENDING_STEPS: tuple[StepType, ...] = ("terminate_node", "release_node")
"""The steps after which a node no longer has its machine."""
FirewallChange = Literal["close", "open", "keep"]
Rounds = tuple[tuple[str, ...], ...]
"""Groups of nodes that are processed one after the other."""
FindingKind = Literal["differs", "unreachable", "machine", "kept", "runs_each_time", "unchecked"]


@dataclass(frozen=True, kw_only=True)
class ModuleUse:
    """A module that the plan was made from; apply refuses any other digest."""

    name: str
    version: str = ""
    digest: str
    source: str = ""


@dataclass(frozen=True)
class NodeChange:
    """What happens to one node, and why; ``releases`` is what its target kept for it (an address) and releases."""

    node: str
    change: NodeChangeKind
    reason: str = ""
    releases: tuple[str, ...] = ()


@dataclass(frozen=True)
class ValueDifference:
    """The complete old and new value of an attribute whose reason shows only part of it."""

    attribute: str
    before: Json
    after: Json


@dataclass(frozen=True)
class ComponentChange:
    """Whether a component instance is new, changed, unchanged or to be deleted on one node, and why."""

    node: str
    component: str
    change: ComponentChangeKind
    reasons: tuple[str, ...] = ()
    differences: tuple[ValueDifference, ...] = ()


@dataclass(frozen=True)
class Finding:
    """A finding of ``plan --refresh`` on a node; ``what`` describes it in words, without secrets.

    ``differs``: the operation would change something. ``unreachable``: the node could not be reached; ``component``
    and ``operation`` are "". ``machine``: the machine differs from what its node requests. ``kept``: a name in its
    request means something newer by now, and it stays as it is. ``runs_each_time``: a command without a guard.
    ``unchecked``: drift cannot be determined; ``what`` gives the reason.
    """

    node: str
    kind: FindingKind
    what: str
    component: str = ""
    operation: str = ""

    @property
    def is_drift(self) -> bool:
        """Whether the node is known to have drifted."""
        return self.kind in ("differs", "unreachable", "machine")


@dataclass(frozen=True)
class FirewallRule:
    """A port of the service's nodes and the sources that may reach it, compared with the rules in force."""

    change: FirewallChange
    port: int
    source: str


@dataclass(frozen=True)
class Step:
    """A step of a stage: a group with its members in ``steps``, or a leaf on one node.

    ``max_in_flight`` is set on groups: how many members run at once, within the stage's own limit. ``target_groups``
    are the load balancer groups in which the node is registered after the step (``register_node``), or from which it
    is deregistered (``deregister_node``). Any other step with groups deregisters the node before its work, and
    registers it afterwards.
    """

    number: str
    type: StepType
    node: str
    reason: str = ""
    node_attributes: Mapping[str, object] = field(default_factory=dict)
    actions: tuple[PlannedAction, ...] = ()
    steps: tuple[Step, ...] = ()
    max_in_flight: int | str | None = None
    target_groups: tuple[str, ...] = ()

    def leaves(self) -> Iterator[Step]:
        """Yield the leaf steps (those that do work), in order."""
        if self.steps:
            for step in self.steps:
                yield from step.leaves()
        else:
            yield self


@dataclass(frozen=True)
class Stage:
    """A top-level part of the task; its nodes run in parallel, at most ``max_in_flight`` at a time.

    The first ``canary`` nodes run before all others; if one of them fails, the others do not start.
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
    """The whole plan. ``task_type`` is the name in the first row of the task table (``assembly_converge``).

    ``serial`` and ``lineage`` identify the state it was made from, ``workspace`` the service's home workspace, and
    ``service_digest`` the content of its file. ``destroys`` marks the plan of delete-and-destroy. ``resumes`` is the
    number of the task that this plan continues, 0 for none. ``leaves_unfinished`` is the number of the converge that
    must still be resumed after this plan, whatever its outcome. ``parameters`` are the values given to its workflow.
    ``drift`` and ``unchecked`` are what a refresh found on the nodes, the latter with what is kept. ``firewall``
    lists every declared port that the target opens or closes. ``only`` and ``exclude`` are the terms of its selection,
    ``left_out`` the steps that the selection leaves out. ``replaces`` lists the nodes whose machines are replaced, in
    rounds; ``forced`` means that no component action runs before those machines are terminated. ``volumes`` lists
    the volumes that outlive permanently removed machines: ``slaves:1 data (vol-0a1b, 500 GB)``. With
    ``deletes_volumes``, they are all volumes that the target has of the service, and are deleted last.
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
        """Whether the plan does nothing."""
        return (
            not self.stages
            and not (self.deletes_volumes and self.volumes)
            and all(rule.change == "keep" for rule in self.firewall)
        )

    @property
    def ends_service(self) -> bool:
        """Whether the plan is to terminate all machines of the service, not those of some nodes."""
        return self.destroys or self.workflow == RESET

    def leaves(self) -> Iterator[Step]:
        """Yield every leaf of every stage in order."""
        for stage in self.stages:
            yield from stage.leaves()
