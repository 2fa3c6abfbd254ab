"""The plan: an explicit, complete document of what apply will do, and nothing else.

``to_document`` and ``from_document`` are inverses; the document's shape is schemas/plan.schema.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

FORMAT_VERSION = 1

NodeChangeKind = Literal["create", "start", "stop", "terminate", "keep"]
ComponentChangeKind = Literal["new", "changed", "unchanged", "delete"]
StepType = Literal[
    "create_node",
    "power_on_node",
    "power_off_node",
    "terminate_node",
    "configure_node",
    "configure_nodegroup",
    "action",
    "nodegroup actions",
    "create_nodegroup",
    "terminate_nodegroup",
]
FirewallChange = Literal["close", "open", "keep"]
FindingKind = Literal["differs", "unreachable", "runs_each_time", "not_judged"]
GROUP_STEPS = ("configure_nodegroup", "nodegroup actions", "create_nodegroup", "terminate_nodegroup")


@dataclass(frozen=True)
class ModuleUse:
    """A module the plan was made from; apply refuses another digest."""

    name: str
    version: str
    digest: str
    source: str


@dataclass(frozen=True)
class NodeChange:
    """What happens to one node, and why."""

    node: str
    change: NodeChangeKind
    reason: str = ""


@dataclass(frozen=True)
class ComponentChange:
    """Whether a component instance is new, changed or unchanged on one node, and why."""

    node: str
    component: str
    change: ComponentChangeKind
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What ``plan --refresh`` found on a node: ``what`` in words, free of secrets.

    ``differs``: the operation would change something. ``unreachable``: the node could not be asked, and ``component``
    and ``operation`` are "". ``runs_each_time``: a command without a guard. ``not_judged``: it can't be told, and why.
    """

    node: str
    kind: FindingKind
    what: str
    component: str = ""
    operation: str = ""

    @property
    def is_drift(self) -> bool:
        """Whether the node is known not to be as it was left."""
        return self.kind in ("differs", "unreachable")


@dataclass(frozen=True)
class FirewallRule:
    """A port of the service's nodes and who may reach it, compared with what was open before."""

    change: FirewallChange
    port: int
    source: str


def action_key(node: str, component: str, action: str, repeat: str = "") -> str:
    """Return the name that an action's success is remembered by; ``repeat`` is "2" for its second time."""
    return f"{node} {component}.{action}" + (f" #{repeat}" if repeat else "")


@dataclass(frozen=True)
class PlannedAction:
    """One component's action on one node: everything the executor needs.

    ``attributes`` maps names to values in the language of ``dtk.model.expression``; ``items`` are the action's
    operations and commands in order::

        {"kind": "operation", "name": "files.directory", "arguments": {…}, "if": "…", "unless": "…"}
        {"kind": "run", "command": "…", "if": "…", "unless": "…", "timeout": 60, "retries": 2}
        {"kind": "add", "source": "files/x.sh", "target": "…", "template": true, "owner": "…", "mode": "755"}
        {"kind": "puppet", "resource": "class", "name": "hadoop::namenode", "title": "", "parameters": ["port"]}

    Any text in them may be ``{"$template": "port={{ port }}", "shell": true}`` where it waits for a value.
    An item whose ``when`` (a list of such templates) is not all true is not done. ``repeat`` tells apart the second and
    further times an action runs in one workflow. ``outputs`` are
    ``{"attribute": path, "name": short name, "type": …, "source": "command", "text": …, "hidden": false}``.
    ``files`` maps a path in the module to the digest of its content. ``action_digest`` covers the action's
    definition and its files; ``input_digest`` that and the attributes as planned.
    """

    node: str
    component: str
    action: str
    module: str
    reasons: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    node_variables: Mapping[str, Any] = field(default_factory=dict)
    items: tuple[Mapping[str, Any], ...] = ()
    outputs: tuple[Mapping[str, Any], ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    action_digest: str = ""
    input_digest: str = ""
    retries: int = 0
    retry_delay: float = 5.0
    timeout: float | None = None
    on_failure: str = "stop"
    repeat: str = ""

    @property
    def key(self) -> str:
        """The name an action's success is remembered by in state: ``slaves:1 dask::worker.create``."""
        return action_key(self.node, self.component, self.action, self.repeat)


@dataclass(frozen=True)
class Step:
    """A step of a stage: a group with its members in ``steps``, or a leaf on one node.

    ``max_in_flight`` is a group's: how many of its members work at once, within what the stage allows.
    """

    number: str
    type: StepType
    node: str
    reason: str = ""
    node_attributes: Mapping[str, Any] = field(default_factory=dict)
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
    ``service_digest`` what its file said; ``destroys`` marks the plan of
    delete-and-destroy; ``resumes`` is the number of the task that this plan continues, 0 for none. ``parameters`` are
    those its workflow was given. ``drift`` and ``not_judged`` are what a refresh found on the nodes. ``firewall`` has
    every declared port that the target opens or no longer opens.
    ``only`` and ``exclude`` are the terms of the selection it was limited to, ``left_out`` the steps which that cost.
    """

    dtk_version: str
    service: str
    assembly: str
    target: Mapping[str, Any]
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
    parameters: Mapping[str, str] = field(default_factory=dict)
    drift: tuple[Finding, ...] = ()
    not_judged: tuple[Finding, ...] = ()
    digest: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.stages and all(rule.change == "keep" for rule in self.firewall)

    def leaves(self) -> Iterator[Step]:
        """Yield every leaf of every stage in order."""
        for stage in self.stages:
            yield from stage.leaves()
