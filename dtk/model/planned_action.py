"""One component's action on one node as a plan holds it: its items in order, its outputs, its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from dtk.model.json_data import Json
from dtk.model.value import UNSET, Template, Value

Text: TypeAlias = str | Template
"""A text of an item; it stays a template until all its values are known."""


@dataclass(frozen=True)
class PlannedOperation:
    """A pyinfra operation, such as ``files.directory``, with its arguments."""

    kind: Literal["operation"] = field(default="operation", init=False)
    name: str
    arguments: Mapping[str, Value] = field(default_factory=dict)
    when: tuple[Template, ...] = ()
    if_: Text = ""
    unless: Text = ""
    id: str = ""
    if_changed: tuple[str, ...] = ()
    for_: Value = UNSET
    item: Value = UNSET


@dataclass(frozen=True)
class PlannedRun:
    """A command; ``timeout`` is in seconds."""

    kind: Literal["run"] = field(default="run", init=False)
    command: Text = ""
    timeout: float | None = None
    retries: int = 0
    when: tuple[Template, ...] = ()
    if_: Text = ""
    unless: Text = ""
    id: str = ""
    if_changed: tuple[str, ...] = ()
    for_: Value = UNSET
    item: Value = UNSET


@dataclass(frozen=True)
class PlannedAdd:
    """A module file copied to the node; a ``template`` is rendered first."""

    kind: Literal["add"] = field(default="add", init=False)
    source: str
    template: bool = False
    target: Text = ""
    owner: Text = ""
    mode: Text = ""
    when: tuple[Template, ...] = ()
    if_: Text = ""
    unless: Text = ""
    id: str = ""
    if_changed: tuple[str, ...] = ()
    for_: Value = UNSET
    item: Value = UNSET


@dataclass(frozen=True)
class PlannedPuppet:
    """A Puppet class, or a resource of a defined type (with a ``title``); ``parameters`` are attribute names."""

    kind: Literal["puppet"] = field(default="puppet", init=False)
    resource: Literal["class", "definition"]
    name: str
    parameters: tuple[str, ...] = ()
    title: str | None = None


@dataclass(frozen=True)
class PlannedDeploy:
    """A pyinfra deploy of the module, ``path/to/file.py:function``, called with these attributes."""

    kind: Literal["deploy"] = field(default="deploy", init=False)
    name: str
    parameters: tuple[str, ...] = ()


Guarded: TypeAlias = PlannedOperation | PlannedRun | PlannedAdd
"""Items with guards: the shell conditions ``if_`` and ``unless``, and ``when``, templates that must all be true.

An item with ``if_changed`` runs only if an earlier item with one of these ids changed something. ``for_`` is what a
loop iterates over when that is known only on the node; ``item`` is the element of a loop expanded in the plan.
"""

PlannedItem: TypeAlias = PlannedOperation | PlannedRun | PlannedAdd | PlannedPuppet | PlannedDeploy


@dataclass(frozen=True)
class PlannedOutput:
    """A dynamic attribute, by path and short name, and the source of its value after the action.

    ``text`` is the command, the fact's name or the expression; it is rendered after the action, so it is still a
    template.
    """

    attribute: str
    name: str
    type: str
    source: Literal["command", "fact", "expression"]
    text: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    hidden: bool = False


def action_key(node: str, component: str, action: str, repeat: str = "") -> str:
    """Return the key under which the state records an action's success; ``repeat`` is "2" for its second run."""
    return f"{node} {component}.{action}" + (f" #{repeat}" if repeat else "")


@dataclass(frozen=True)
class PlannedAction:
    """One component's action on one node: everything the executor needs.

    ``repeat`` distinguishes the second and later runs of an action in one workflow. ``defaults`` are pyinfra's global
    arguments for all its items. ``files`` maps a path in the module to the digest of its content. ``max_in_flight``
    limits how many nodes run it at once.
    ``action_digest`` covers the action's definition and its files; ``input_digest`` also the attributes as planned.
    """

    node: str
    component: str
    action: str
    module: str
    reasons: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    node_variables: Mapping[str, Json] = field(default_factory=dict)
    items: tuple[PlannedItem, ...] = ()
    outputs: tuple[PlannedOutput, ...] = ()
    defaults: Mapping[str, Value] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    action_digest: str = ""
    input_digest: str = ""
    retries: int = 0
    retry_delay: float = 5.0
    timeout: float | None = None
    on_failure: Literal["stop", "continue"] = "stop"
    repeat: str = ""
    max_in_flight: int | str | None = None

    @property
    def key(self) -> str:
        """The key under which the state records the action's success: ``slaves:1 dask::worker.create``."""
        return action_key(self.node, self.component, self.action, self.repeat)
