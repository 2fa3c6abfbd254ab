"""The content of state.json: existing nodes, dynamic values, and what was last applied where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from dtk.model.json_data import Json
from dtk.model.names import group_of
from dtk.model.value import Value

FORMAT_VERSION = 1
MOVED_FORMAT_VERSION = 2
"""Format of a state that was moved to a shared store, so that a dtk without store support refuses the local copy."""


@dataclass(frozen=True)
class NodeState:
    """An existing node: the provider's ``NodeRecord`` as plain data (connection included)."""

    id: str
    status: str
    connection: Mapping[str, Json] = field(default_factory=dict)
    attributes: Mapping[str, Json] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether first contact succeeded, so that the machine's facts (its home among them) are known."""
        return "home" in self.attributes


@dataclass(frozen=True)
class Applied:
    """A component as it was last converged on a node: its definition, attribute values and task.

    Hidden values are stored (the file has mode 0600) and named in ``hidden``; secrets are stored as references only.
    ``attempted`` is the task that started to converge it again without success, 0 for none: until a task succeeds, the
    node may hold part of what that task wrote. ``secrets`` has keyed digests of the secret values sent to the node, by
    reference (``dtk.state.secret_digests``).
    """

    module: str
    action_digest: str
    attributes: Mapping[str, Value] = field(default_factory=dict)
    task: int = 0
    hidden: tuple[str, ...] = ()
    attempted: int = 0
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Unfinished:
    """The workflow whose last task did not succeed, and its successes: ``{"node component.action": input digest}``.

    ``parameters`` are the workflow's parameters, ``only`` and ``exclude`` the terms of its selection. ``before`` is the
    converge that was unfinished when another workflow or action was run: a resume continues it, whatever the outcome of
    the run in between. ``replaces`` are the nodes whose machines to replace, in rounds; ``replaced`` those of them
    whose machine has been terminated. ``forced`` is as in the plan.
    """

    task: int
    workflow: str
    succeeded: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    only: Sequence[str] = ()
    exclude: Sequence[str] = ()
    before: Unfinished | None = None
    replaces: Sequence[Sequence[str]] = ()
    replaced: Sequence[str] = ()
    forced: bool = False

    def of(self, workflow: str) -> Unfinished | None:
        """Return the unfinished task of a workflow: this one, or the one before it; None if it is neither."""
        found = self if self.workflow == workflow else self.before
        return found if found is not None and found.workflow == workflow else None


@dataclass(frozen=True)
class State:
    """The whole state of one service.

    ``attributes`` holds dynamic values by path. ``applied`` maps node → component → what was applied.
    ``serial`` increases with every write; ``lineage`` is created with a service's first state. ``created_at`` is when
    the service was staged (UTC, RFC 3339), "" if unknown. ``in_doubt`` lists the steps, by node, that may still run
    because their worker died: ``{"slaves:2": ["3-3.1.2"]}`` is step 3.1.2 of task 3. ``open_ports`` has the ports
    opened for components, by source: ``{"192.0.2.0/24": [8080]}``. ``origin`` is also created with the first state and
    distinguishes it from a state that another clone created at the same time. ``moved_to`` is the shared store that
    holds the service, as shown to users; this file is then a copy; "" without a store.
    """

    service: str
    lineage: str
    serial: int = 0
    nodes: Mapping[str, NodeState] = field(default_factory=dict)
    attributes: Mapping[str, Json] = field(default_factory=dict)
    applied: Mapping[str, Mapping[str, Applied]] = field(default_factory=dict)
    unfinished: Unfinished | None = None
    last_task: int = 0
    created_at: str = ""
    in_doubt: Mapping[str, Sequence[str]] = field(default_factory=dict)
    open_ports: Mapping[str, Sequence[int]] = field(default_factory=dict)
    origin: str = ""
    moved_to: str = ""

    @cached_property
    def existing_members(self) -> Mapping[str, Sequence[NodeState]]:
        """The nodes that exist, by group; a node without a group is one by itself."""
        found: dict[str, list[NodeState]] = {}
        for name, node in self.nodes.items():
            if node.id:
                found.setdefault(group_of(name), []).append(node)
        return found
