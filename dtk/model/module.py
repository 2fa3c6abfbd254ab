"""The content of a module: components with attributes, dependencies, links, actions; assemblies; workflows.

``dtk.dsl`` builds it from a validated document. Every part keeps its source location, so that an error found later
(by the compiler) can still point to the line that its author must fix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from dtk.errors import Location
from dtk.model.json_data import Json
from dtk.model.names import ComponentName
from dtk.model.output import AssemblyOutput

Side = Literal["base", "dependency"]
Order = Literal["sequential", "concurrent"]

PUPPET_FOLDER = "puppet"
"""A module's folder of Puppet code, puppet/NAME/manifests; it is a Puppet module path."""


@dataclass(frozen=True)
class Attribute:
    """One declared attribute of a component or of an assembly.

    ``default`` is already of the declared type; ``has_default`` distinguishes a null default from none.
    ``secret`` attributes hold references (``env:NAME`` …), never values. A ``dynamic`` attribute that is also an
    ``input`` can be set; precedence is: the value set, then an action's output, then links and the default.
    ``internal`` attributes are left out of listings.
    """

    name: str
    location: Location
    type: str = "string"
    default: Json = None
    has_default: bool = False
    required: bool = False
    dynamic: bool = False
    hidden: bool = False
    constant: bool = False
    secret: bool = False
    description: str = ""
    input: bool = False
    internal: bool = False

    @property
    def is_computed(self) -> bool:
        """Whether only an action can set the value."""
        return self.dynamic and not self.input


@dataclass(frozen=True)
class AttributeTerm:
    """``attr``, ``attr[key]`` or ``node.attr`` on one side of a link.

    ``with_offset`` adds the ``port_offset`` of its node: the port that is really in use.
    """

    side: Side
    attribute: str
    key: str = ""
    of_node: bool = False
    with_offset: bool = False


@dataclass(frozen=True)
class TextTerm:
    """Text with ``${attr}`` in it: literal pieces and attributes of one side."""

    parts: tuple[str | AttributeTerm, ...]


@dataclass(frozen=True)
class ConstantTerm:
    """A literal as the source of a mapping."""

    value: Json


@dataclass(frozen=True)
class AttributeMapping:
    """One attribute mapping of a link, with source and destination already resolved from its arrow.

    Source: docs/original.md 4.3; the dependency is left of the arrow, the base component right of it.
    """

    source: AttributeTerm | TextTerm | ConstantTerm
    destination: AttributeTerm
    text: str
    location: Location


@dataclass(frozen=True)
class LinkDef:
    """A link from one component to another: its target, whether it is required, and which values flow.

    ``same_node`` and ``other_node`` restrict where the target may be. ``order`` (``after`` or ``before`` the target, ""
    to derive it from the values) applies when dtk generates the workflow. A link to the component's own type connects a
    group's members (peers); ``include_self`` says whether a member is among its own peers. An ``optional`` link may
    name a component of a module that is not installed.
    """

    name: str
    component: str
    required: bool
    same_node: bool
    mappings: tuple[AttributeMapping, ...]
    location: Location
    other_node: bool = False
    order: Literal["after", "before", ""] = ""
    include_self: bool = True
    optional: bool = False


@dataclass(frozen=True)
class Dependency:
    """A component that must be on the same node (a dependency without a link definition)."""

    component: str
    location: Location


@dataclass(frozen=True)
class Operation:
    """A pyinfra operation as data: ``apt.packages`` with its arguments, guarded by shell conditions.

    ``when`` are templates over attributes; the item is skipped if any of them is false. An item with ``if_changed``
    runs only if an earlier item with one of these ids changed something. ``for_`` is a list or hash, or a template that
    yields one: the item runs once per element, which templates call ``item``.
    """

    name: str
    arguments: Mapping[str, Json]
    location: Location
    if_: str = ""
    unless: str = ""
    when: tuple[str, ...] = ()
    id: str = ""
    if_changed: tuple[str, ...] = ()
    for_: Json = None


@dataclass(frozen=True)
class Command:
    """A ``RUN`` item (``command`` is set) or an ``ADD`` item (``source`` and ``target`` are set) of the original.

    ``when``, ``id``, ``if_changed`` and ``for_`` are as in ``Operation``.
    """

    location: Location
    command: str = ""
    source: str = ""
    target: str = ""
    template: bool = False
    owner: str = ""
    mode: str = ""
    if_: str = ""
    unless: str = ""
    timeout: float | None = None
    retries: int = 0
    when: tuple[str, ...] = ()
    id: str = ""
    if_changed: tuple[str, ...] = ()
    for_: Json = None


@dataclass(frozen=True)
class DeployCall:
    """A pyinfra deploy of the module: a function in one of its files, called with the attributes that it names."""

    file: str
    function: str
    location: Location


@dataclass(frozen=True)
class PuppetResource:
    """A Puppet class, or a resource of a defined type, applied on the node with the component's attributes.

    Source: the original's provider puppet (docs/original.md 4.4). ``parameters`` are the attributes passed: all but
    constants, dynamic ones and the title's ``name``. ``on_node``: the Puppet code is already on the node; don't copy
    it.
    """

    location: Location
    kind: Literal["class", "definition"]
    name: str
    parameters: tuple[str, ...] = ()
    on_node: bool = False


Item = Operation | Command | DeployCall | PuppetResource
"""One unit of work of an action on a node."""


@dataclass(frozen=True)
class Output:
    """Where a dynamic attribute's value comes from after an action: a command's output, a fact, an expression."""

    attribute: str
    source: Literal["command", "fact", "expression"]
    text: str
    location: Location
    arguments: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Action:
    """One action of a component. ``items`` is empty for a no-op (an attribute holder) and for ``compute``.

    ``defaults`` are pyinfra global arguments (``_sudo``, ``_env`` …) for all its operations and commands;
    ``timeout`` and ``retry_delay`` are in seconds. ``parameters`` are set by the caller: a workflow stage or
    ``dtk exec``; templates see them like attributes. ``max_in_flight``, 3 or "25%", limits how many nodes run the
    action at once in any stage.
    """

    name: str
    provider: Literal["operations", "commands", "compute", "deploy", "puppet_class", "puppet_definition", "none"]
    location: Location
    items: tuple[Item, ...] = ()
    outputs: tuple[Output, ...] = ()
    defaults: Mapping[str, Json] = field(default_factory=dict)
    description: str = ""
    retries: int = 0
    retry_delay: float = 5.0
    timeout: float | None = None
    on_failure: Literal["stop", "continue"] = "stop"
    parameters: Mapping[str, Attribute] = field(default_factory=dict)
    max_in_flight: int | str | None = None


@dataclass(frozen=True)
class Component:
    """A component definition; ``type`` is its full name, e.g. ``dask::worker``.

    ``after`` lists components that run before this one if they are on the same node; they are not required there.
    """

    name: str
    type: str
    module: str
    location: Location
    description: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    dependencies: tuple[Dependency, ...] = ()
    links: tuple[LinkDef, ...] = ()
    after: tuple[Dependency, ...] = ()
    actions: Mapping[str, Action] = field(default_factory=dict)
    singleton: bool = True


@dataclass(frozen=True)
class ComponentUse:
    """A component as an assembly or a service uses it: instance name, attribute values, chosen link targets.

    ``links`` maps a link's name to targets as written: ``node/cmp``, ``node/cmp[title]`` or ``cmp``. ``locations`` has
    the source location of each attribute and link, by name. Texts in ``attributes`` may be templates over the
    assembly's attributes; in a resolved service they are already rendered.
    """

    name: ComponentName
    location: Location
    attributes: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    locations: Mapping[str, Location] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A node, or a node group if ``is_group``; ``attributes`` are the node's own (size, image …).

    Texts in ``attributes``, ``cardinality`` and ``max_in_flight`` may be templates over the assembly's attributes.
    ``locations`` has the source location of each, by name.
    ``max_in_flight``, 3 or "25%", limits how many of a group's members run at once in any stage; None for no limit.
    """

    name: str
    location: Location
    is_group: bool = False
    cardinality: int | str = 1
    max_in_flight: int | str | None = None
    attributes: Mapping[str, Json] = field(default_factory=dict)
    components: tuple[ComponentUse, ...] = ()
    locations: Mapping[str, Location] = field(default_factory=dict)


@dataclass(frozen=True)
class WorkflowItem:
    """One item of a stage: a component's action; ``create`` if the workflow names none.

    The title and the values of ``parameters`` may contain ``{{name}}``, a parameter of the workflow.
    """

    component: ComponentName
    action: str
    location: Location
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StageOptions:
    """How a stage schedules its nodes and actions; None means that each action decides.

    ``run_once`` keeps only the first of the nodes that have the stage's components.
    ``max_in_flight`` is 3 or "25%"; the first ``canary`` nodes run before all others. ``retries``, ``retry_delay``,
    ``timeout`` (both in seconds) and ``on_failure`` apply to each action of the stage.
    """

    max_in_flight: int | str | None = None
    canary: int = 0
    run_once: bool = False
    retries: int | None = None
    retry_delay: float | None = None
    timeout: float | None = None
    on_failure: Literal["stop", "continue"] | None = None


@dataclass(frozen=True)
class Subtask:
    """One stage of a workflow, or a block of stages if ``subtasks`` is not empty.

    ``node`` restricts it to a node or a group. ``ordered``: its items run in the order listed, even if one depends on
    another on the same node. ``order`` is the order of ``subtasks``. ``calls`` names a workflow whose stages run in its
    place; in a built assembly they are in ``subtasks``. ``given`` holds the parameters of such a call, or those that
    the enclosing calls pass to a stage's actions: texts in which ``{{name}}`` is the caller's parameter.
    """

    name: str
    items: tuple[WorkflowItem, ...]
    location: Location
    node: str = ""
    ordered: bool = True
    options: StageOptions = field(default_factory=StageOptions)
    subtasks: tuple[Subtask, ...] = ()
    order: Order = "sequential"
    calls: str = ""
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workflow:
    """Named stages, run sequentially or concurrently; ``parameters`` are those it declares."""

    name: str
    subtasks: tuple[Subtask, ...]
    location: Location
    order: Order = "sequential"
    parameters: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True)
class Assembly:
    """A topology template."""

    name: str
    module: str
    location: Location
    description: str = ""
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    components: tuple[ComponentUse, ...] = ()
    nodes: Mapping[str, Node] = field(default_factory=dict)
    workflows: Mapping[str, Workflow] = field(default_factory=dict)
    outputs: Mapping[str, AssemblyOutput] = field(default_factory=dict)


@dataclass(frozen=True)
class Module:
    """A module as read from its folder; ``digest`` is ``sha256:…`` over its whole tree."""

    name: str
    folder: Path
    digest: str
    location: Location
    version: str = ""
    description: str = ""
    dependencies: Mapping[str, str] = field(default_factory=dict)
    components: Mapping[str, Component] = field(default_factory=dict)
    assemblies: Mapping[str, Assembly] = field(default_factory=dict)
