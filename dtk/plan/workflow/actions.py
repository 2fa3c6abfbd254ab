"""One complete action on one node: rendered as far as values are known, with its files and digests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace

from dtk.dsl.template.unknown import NeedsUnknown, Unknown
from dtk.errors import InvalidError, Location, Problem
from dtk.model.arguments import SHELL_ARGUMENTS
from dtk.model.canonical import digest_of
from dtk.model.json_data import Json, JsonObject, ReadOnlyObject
from dtk.model.loop import ITEM, elements_of
from dtk.model.module import Command, DeployCall, Item, Operation, Output, PuppetResource
from dtk.model.names import ASSEMBLY_WIDE, CREATE
from dtk.model.planned_action import (
    Guarded,
    PlannedAction,
    PlannedAdd,
    PlannedDeploy,
    PlannedItem,
    PlannedOperation,
    PlannedOutput,
    PlannedPuppet,
    PlannedRun,
    Text,
)
from dtk.model.value import Known, Template, Value, list_of, map_of
from dtk.model.value_document import value_document
from dtk.plan.resolve.node_attributes import declared_ports
from dtk.plan.resolve.topology import Instance
from dtk.plan.resolve.values import Values, static_node_variables
from dtk.plan.workflow.definitions import IS_FIRST, PORTS, ActionDefinition, definition_of
from dtk.plan.workflow.stages import StagedAction

_STAGE_OPTIONS = ("retries", "retry_delay", "timeout", "on_failure")


def planned_attributes(instance: Instance, action: str, values: Values) -> dict[str, Value]:
    """Return the attributes that an action uses, by name, as planned.

    ``create`` does not use its own component's dynamic attributes, because it sets them; those that are also inputs it
    uses as given. An action whose text uses its node's address includes that too, so that a new address is a change.
    """
    takes = {
        name: values.given(instance, name) if action == CREATE else values.of(instance, name)
        for name, attribute in instance.component.attributes.items()
        if not (attribute.is_computed and action == CREATE)
    }
    if instance.node == ASSEMBLY_WIDE:
        return takes
    definition = definition_of(instance, action)
    if definition.uses_node_address:
        takes["node.host_address"] = values.node_attribute(instance.node, "host_address")
    if definition.uses_is_first:
        takes[IS_FIRST] = values.node_attribute(instance.node, "is_first")
    if definition.uses_ports:
        takes[PORTS] = Known([port for port in declared_ports(values, instance.node) if port is not None])
    return takes


def plan_action(staged: StagedAction, values: Values, reasons: tuple[str, ...]) -> PlannedAction:
    """Plan one action as the executor needs it.

    Raises:
        InvalidError: a template of the action uses a value that is not set.
    """
    instance = staged.instance
    attributes = {**planned_attributes(instance, staged.action, values), **_parameters(staged)}
    variables, service = _node_variables(instance, values), values.topology.service
    if isinstance(first := attributes.get(IS_FIRST), Known):
        variables["is_first"] = first.data
    if isinstance(ports := attributes.get(PORTS), Known):
        variables["ports"] = ports.data
    planned = build_action(instance, staged.action, attributes, variables, reasons, service=service)
    options = {name: value for name in _STAGE_OPTIONS if (value := getattr(staged.options, name)) is not None}
    return replace(planned, repeat=staged.repeat, **options)


def _parameters(staged: StagedAction) -> dict[str, Value]:
    """Return an action's parameters as values; an action uses them like its component's attributes."""
    return {name: Known(value) for name, value in staged.parameters.items()}


def _node_variables(instance: Instance, values: Values) -> JsonObject:
    static = static_node_variables(values.topology, instance.node)
    existing = values.state.nodes.get(instance.node)
    if existing is None or instance.node in values.pending_nodes:
        return static
    return {**existing.attributes, **static}


def build_action(
    instance: Instance,
    name: str,
    attributes: Mapping[str, Value],
    node_variables: ReadOnlyObject,
    reasons: tuple[str, ...],
    *,
    service: str = "",
) -> PlannedAction:
    """Build an action from computed attributes; ``service`` is the service's name, for the fix of a problem."""
    definition = definition_of(instance, name)
    action = definition.action
    declared = [*instance.component.attributes.values(), *action.parameters.values()]
    hidden = tuple(sorted(a.name for a in declared if a.hidden or a.secret))
    renderer = _Renderer(instance, attributes, node_variables, hidden, service)
    # An output that the action itself sets must not change its input digest, or a resume would repeat the action.
    own = {output.attribute for output in action.outputs if name != CREATE}
    inputs = {attribute: value_document(value) for attribute, value in attributes.items() if attribute not in own}
    return PlannedAction(
        node=instance.node,
        component=str(instance.name),
        action=name,
        module=instance.component.module,
        reasons=reasons,
        attributes=dict(attributes),
        hidden=hidden,
        node_variables=dict(node_variables),
        items=renderer.items(definition),
        outputs=tuple(renderer.output(output) for output in action.outputs),
        defaults=renderer.arguments(action.defaults, action.location),
        files=definition.files,
        action_digest=definition.digest,
        input_digest=digest_of({"action": definition.digest, "attributes": inputs}),
        retries=action.retries,
        retry_delay=action.retry_delay,
        timeout=action.timeout,
        on_failure=action.on_failure,
        max_in_flight=action.max_in_flight,
    )


@dataclass(frozen=True)
class Guards:
    """The conditions under which an item runs, rendered as far as values are known."""

    when: tuple[Template, ...]
    if_: Text
    unless: Text


class _Renderer:
    """Renders an action's texts with the known values; texts with unknown values stay templates for the executor."""

    def __init__(
        self,
        instance: Instance,
        attributes: Mapping[str, Value],
        node_variables: ReadOnlyObject,
        hidden: tuple[str, ...],
        service: str,
    ) -> None:
        self.instance = instance
        self.service = service
        self.attributes = [name for name in attributes if "." not in name]
        pending = "host_address" not in node_variables and instance.node != ASSEMBLY_WIDE
        node = _PendingNode(node_variables) if pending else dict(node_variables)
        self.variables: dict[str, object] = {
            name: value.data if isinstance(value, Known) and name not in hidden else Unknown(name)
            for name, value in attributes.items()
        }
        named = tuple((name, _signature(self.variables[name])) for name in self.variables)
        self._signature = (("component", str(instance.name)), *named)
        self._node_signature = (*self._signature, ("node", repr(node_variables)))
        self.variables["node"] = node
        self.variables["dtk"] = {"module": {"dir": Unknown("dtk.module.dir")}}

    def items(self, definition: ActionDefinition) -> tuple[PlannedItem, ...]:
        """Return the planned items; an item equal to the previous node's is the same object, not a copy."""
        found: list[PlannedItem] = []
        for index, (item, uses_node) in enumerate(zip(definition.action.items, definition.uses_node, strict=True)):
            signature = self._node_signature if uses_node else self._signature
            last = definition.last_rendered.get(index)
            if last is None or last[0] != signature:
                last = definition.last_rendered[index] = (signature, tuple(self._repeated(item)))
            found += last[1]
        return tuple(found)

    def _repeated(self, item: Item) -> Iterator[PlannedItem]:
        """Yield an item's planned forms: one per element of its loop, none if its conditions are false."""
        if not isinstance(item, (Operation, Command)) or item.for_ is None:
            found = self.item(item)
            if found is not None:
                yield found
            return
        loop = self._value(item.for_, item.location, shell=False)
        for element in self._elements(loop.data, item.location) if isinstance(loop, Known) else (None,):
            found = self._with_element(loop, element).item(item)
            if isinstance(found, Guarded):
                yield replace(found, item=Known(element)) if isinstance(loop, Known) else replace(found, for_=loop)

    def _elements(self, data: Json, location: Location) -> list[Json]:
        try:
            return elements_of(data)
        except ValueError as error:
            where = self.instance.declared_path("").rstrip("/")
            raise InvalidError("cannot create the plan", [Problem(f"{error} (in {where})", location)]) from None

    def _with_element(self, loop: Value, element: Json) -> _Renderer:
        """Return a renderer whose templates see a loop element as ``item``, or ``item`` as unknown."""

        found = copy(self)
        found.variables = {**self.variables, ITEM: element if isinstance(loop, Known) else Unknown(ITEM)}
        return found

    def item(self, item: Item) -> PlannedItem | None:
        """Return the planned item; None if its conditions are false."""
        if isinstance(item, DeployCall):
            return PlannedDeploy(f"{item.file}:{item.function}", tuple(sorted(self.attributes)))
        if isinstance(item, PuppetResource):
            title = self.instance.name.title if item.kind == "definition" else None
            return PlannedPuppet(item.kind, item.name, item.parameters, title)
        conditions = [self._condition(condition, item.location) for condition in item.when]
        if False in conditions:
            return None
        when = tuple(condition for condition in conditions if isinstance(condition, Template))
        guards = Guards(when, self._shell(item.if_, item.location), self._shell(item.unless, item.location))
        found = self._operation(item, guards) if isinstance(item, Operation) else self._command(item, guards)
        return replace(found, id=item.id, if_changed=item.if_changed)

    def _condition(self, text: str, location: Location) -> bool | Template:
        """Return whether a condition holds, or its template if its values are not known yet."""
        from dtk.dsl.template.rendering import TemplateProblem, truth  # noqa: PLC0415 - as above

        value = self._text(text, location, shell=False)
        if isinstance(value, Template):
            return value
        try:
            return truth(value.data, text)
        except TemplateProblem as problem:
            raise InvalidError("cannot create the plan", [Problem(str(problem), location)]) from None

    def _operation(self, item: Operation, guards: Guards) -> PlannedOperation:
        arguments = self.arguments(item.arguments, item.location, shell=SHELL_ARGUMENTS.get(item.name, ""))
        return PlannedOperation(item.name, arguments, guards.when, guards.if_, guards.unless)

    def _command(self, item: Command, guards: Guards) -> PlannedRun | PlannedAdd:
        when, if_, unless = guards.when, guards.if_, guards.unless
        if not item.source:
            command = self._shell(item.command, item.location)
            return PlannedRun(command, item.timeout or None, item.retries, when, if_, unless)
        target, owner, mode = (self._plain_text(text, item.location) for text in (item.target, item.owner, item.mode))
        return PlannedAdd(item.source, item.template, target, owner, mode, when, if_, unless)

    def output(self, output: Output) -> PlannedOutput:
        """Return the planned output; its text is rendered after the action, so it stays a template."""
        attribute = self.instance.component.attributes[output.attribute]
        path = self.instance.path(output.attribute)
        return PlannedOutput(
            path, output.attribute, attribute.type, output.source, output.text, output.arguments, attribute.hidden
        )

    def arguments(self, given: ReadOnlyObject, location: Location, *, shell: str = "") -> dict[str, Value]:
        """Render the texts in arguments; those in the argument named ``shell`` are shell commands."""
        return {key: self._value(value, location, shell=key == shell) for key, value in given.items()}

    def _value(self, value: Json, location: Location, *, shell: bool) -> Value:
        if isinstance(value, Mapping):
            return map_of({key: self._value(item, location, shell=shell) for key, item in value.items()})
        if isinstance(value, (list, tuple)):
            return list_of(self._value(item, location, shell=shell) for item in value)
        return self._text(value, location, shell=shell) if isinstance(value, str) else Known(value)

    def _shell(self, text: str, location: Location) -> Text:
        value = self._text(text, location, shell=True)
        return value if isinstance(value, Template) else str(value.data)

    def _plain_text(self, text: str, location: Location) -> Text:
        value = self._text(text, location, shell=False)
        if isinstance(value, Template):
            return value
        # An expression keeps its value's type: a mode can be a number, an owner can be unset.
        return "" if value.data in (None, False) else str(value.data)

    def _text(self, text: str, location: Location, *, shell: bool) -> Known | Template:
        """Render a text; one with values not known yet stays a template."""
        from dtk.dsl.template.rendering import TemplateProblem, render  # noqa: PLC0415 - Jinja2 is slow to load

        try:
            return Known(render(text, self.variables, shell=shell))
        except NeedsUnknown:
            return Template(text, shell)
        except TemplateProblem as problem:
            where = self.instance.declared_path("").rstrip("/")
            found = Problem(f"{problem} (in {where})", location, fix=self._setting(problem.unset))
            raise InvalidError("cannot create the plan", [found]) from None

    def _setting(self, name: str) -> str:
        """Return the command that sets an attribute, "" if it can't be set."""
        attribute = self.instance.component.attributes.get(name)
        if attribute is None or attribute.constant or attribute.is_computed or not self.service:
            return ""
        return f"dtk set-attribute {self.service} {self.instance.declared_path(name)} VALUE"


def _signature(variable: object) -> str | None:
    """Return a cache key for a variable's value, None if it is not known yet."""

    return None if isinstance(variable, Unknown) else repr(variable)


class _PendingNode(dict[str, Json]):
    """A node that does not exist yet: its static variables are known, all other attributes are not."""

    def __missing__(self, key: str) -> Json:

        raise NeedsUnknown(f"node.{key}")
