"""What a module says: components with attributes, dependencies, links, actions; assemblies; workflows.

Built by ``dtk.dsl`` from a validated document; every part keeps the place it was written at, so that a
mistake found later (by the compiler) can still be shown where its author can fix it.
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
"""Where a module has its Puppet code: puppet/NAME/manifests, a module path of Puppet's."""


@dataclass(frozen=True)
class Attribute:
    """One declared attribute of a component or of an assembly.

    ``default`` is of the declared type already; ``has_default`` tells a default of null from none.
    ``secret`` attributes hold references (``env:NAME`` …), never values. A ``dynamic`` one that is an ``input`` as well
    may be given; what is set wins over what an action puts out, and that over links and the default.
    An ``internal`` one is of no interest to people: listings leave it out.
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
        """Whether only an action gives it its value."""
        return self.dynamic and not self.input


@dataclass(frozen=True)
class AttributeTerm:
    """``attr``, ``attr[key]`` or ``node.attr`` on one side of a link.

    ``with_offset`` adds the ``port_offset`` of the node that it is on: where the port really is.
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
    """One attribute mapping of a link, already read in the direction of its arrow.

    Source: docs/original.md 4.3; left of the arrow stands the dependency, right of it the base component.
    """

    source: AttributeTerm | TextTerm | ConstantTerm
    destination: AttributeTerm
    text: str
    location: Location


@dataclass(frozen=True)
class LinkDef:
    """How a component links to another one: what it is linked to, whether it must be, which values flow.

    ``same_node`` and ``other_node`` say where the other one may be; ``order`` (``after`` or ``before`` the other
    one, "" for what the values say) counts where dtk generates the workflow. A link to the component's own type leads
    to its peers, the members of its group; ``include_self`` says whether a member is among its own. An ``optional``
    link may name a component of a module that is not there.
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
    """A component that must stand on the same node (a dependency without a link definition)."""

    component: str
    location: Location


@dataclass(frozen=True)
class Operation:
    """A pyinfra operation as data: ``apt.packages`` with its arguments, guarded by shell conditions.

    ``when`` are templates over attributes; an item for which one of them is false is not done at all. One with
    ``if_changed`` is done only when an earlier item with one of these ids changed something. ``for_`` is a list or a
    hash, or a template that gives one: the item is done for each element, which templates call ``item``.
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
    """A ``RUN`` (``command`` is set) or an ``ADD`` (``source`` and ``target`` are) item of the original.

    ``when``, ``id``, ``if_changed`` and ``for_`` are those of an ``Operation``.
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
    """A pyinfra deploy of the module: a function in one of its files, called with the attributes it names."""

    file: str
    function: str
    location: Location


@dataclass(frozen=True)
class PuppetResource:
    """A Puppet class, or a resource of a defined type, applied on the node with the component's attributes.

    Source: the original's provider puppet (docs/original.md 4.4). ``parameters`` are the attributes handed over:
    all but constants, dynamic ones and the title's ``name``. ``on_node``: the node has its code, none is copied.
    """

    location: Location
    kind: Literal["class", "definition"]
    name: str
    parameters: tuple[str, ...] = ()
    on_node: bool = False


Item = Operation | Command | DeployCall | PuppetResource
"""One thing that an action does on a node."""


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
    ``timeout`` and ``retry_delay`` are seconds. ``parameters`` are given by whoever runs the action: a stage of a
    workflow, or ``dtk exec``; templates see them as they see attributes. ``max_in_flight``, 3 or "25%", says how many
    nodes run it at once in any stage.
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

    ``after`` are components that go before it where they are on the same node; they need not be there.
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

    ``links`` maps a link's name to targets as written: ``node/cmp``, ``node/cmp[title]`` or ``cmp``.
    ``locations`` says where each is written, by the name of the attribute or of the link. Texts in ``attributes``
    may be templates over the assembly's attributes; in a service that is resolved they are what these give.
    """

    name: ComponentName
    location: Location
    attributes: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    locations: Mapping[str, Location] = field(default_factory=dict)


@dataclass(frozen=True)
class Node:
    """A node, or a node group when ``is_group``; ``attributes`` are the node's own (size, image …).

    Texts in them may be templates over the assembly's attributes; so may ``cardinality`` and ``max_in_flight`` be.
    ``locations`` says where each of them is written, by its name.
    ``max_in_flight``, 3 or "25%", says how many of a group's members work at once in any stage; None for all.
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
    """What a stage runs: a component's action; ``create`` when the workflow names none.

    The title and the values of ``parameters`` may hold ``{{name}}``: a parameter of the workflow.
    """

    component: ComponentName
    action: str
    location: Location
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StageOptions:
    """How a stage goes about its nodes and actions; None leaves it to the actions.

    ``run_once`` leaves only the first of the nodes that have what the stage runs.

    ``max_in_flight`` is 3 or "25%"; the first ``canary`` nodes go before all others. ``retries``, ``retry_delay``,
    ``timeout`` (seconds) and ``on_failure`` count for each action of the stage.
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
    """One stage of a workflow, or a block of them when ``subtasks`` is not empty.

    ``node`` restricts it to a node or a group. ``ordered`` says that its items run in the order listed even where
    one of them depends on another on the same node; ``order`` is that of ``subtasks``.
    ``calls`` names a workflow whose stages run in its place; in an assembly that is built they are in ``subtasks``.
    ``given`` are the parameters of such a call, and those that a stage's actions get from the calls around it: texts,
    in which ``{{name}}`` is the caller's.
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
    """Named stages, one after the other or all at once; ``parameters`` are those it declares."""

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
    """A module as it stands in its folder; ``digest`` is ``sha256:…`` over its whole tree."""

    name: str
    folder: Path
    digest: str
    location: Location
    version: str = ""
    description: str = ""
    dependencies: Mapping[str, str] = field(default_factory=dict)
    components: Mapping[str, Component] = field(default_factory=dict)
    assemblies: Mapping[str, Assembly] = field(default_factory=dict)
