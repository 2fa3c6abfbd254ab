"""What state.json holds: the nodes that exist, dynamic values, what was last applied where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dtk.model.json_data import Json
from dtk.model.value import Value

FORMAT_VERSION = 1
MOVED_FORMAT_VERSION = 2
"""Of a state that is kept in a shared store: a dtk that knows no stores refuses its copies."""


@dataclass(frozen=True)
class NodeState:
    """A node that exists: a ``NodeRecord`` of the provider as plain data (connection included)."""

    id: str
    status: str
    connection: Mapping[str, str | int] = field(default_factory=dict)
    attributes: Mapping[str, Json] = field(default_factory=dict)

    @property
    def is_met(self) -> bool:
        """Whether first contact succeeded: the machine has said where its home is, and what else it is."""
        return "home" in self.attributes


@dataclass(frozen=True)
class Applied:
    """A component as it was last converged on a node: what from, with which attribute values, by which task.

    Hidden values are kept (the file is 0600), and ``hidden`` names them; secrets are kept as references only.
    ``attempted`` is the task that began to converge it again and has not succeeded, 0 when there is none: until one
    does, the node may hold a part of what that task wrote. ``secrets`` has the keyed digests of the secrets' values
    that went to the node, by reference (``dtk.state.secret_digests``).
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
    """The workflow whose last task did not succeed, and what of it did: ``{"node component.action": input digest}``.

    ``parameters`` are those the workflow was given, ``only`` and ``exclude`` the terms of the part that was meant.
    ``before`` is the converge that was unfinished when another workflow or an action was run: a resume goes on with it,
    whatever became of what was run in between. ``replaces`` are the nodes that were to get another machine, in the
    rounds they were to; those of them whose machine has gone are ``replaced``. ``forced`` is as in the plan.
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
        """Return what is unfinished of a workflow: this, or what was before it; None where that is another's."""
        found = self if self.workflow == workflow else self.before
        return found if found is not None and found.workflow == workflow else None


@dataclass(frozen=True)
class State:
    """The whole state of one service.

    ``attributes`` holds dynamic values by path. ``applied`` maps node → component → what was applied.
    ``serial`` grows with every write; ``lineage`` is made once, with the first state of a service. ``created_at`` is
    when the service was staged (UTC, RFC 3339), "" where that is not known. ``in_doubt`` has the steps, by node, that
    may still run there because their worker died: ``{"slaves:2": ["3-3.1.2"]}`` is step 3.1.2 of task 3.
    ``open_ports`` has the ports opened for components, by whom they are open to: ``{"192.0.2.0/24": [8080]}``.
    ``origin`` is made with the first state, too: it tells this one from one that another clone began at once.
    ``moved_to`` is the shared store that has the service, as people read it: this file is its copy; "" without one.
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
