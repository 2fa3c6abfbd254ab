"""One action on one node, complete: rendered as far as values are known, with its files and digests."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache
from pathlib import Path

from dtk.errors import InvalidError, Location, Problem
from dtk.model.arguments import FILE_ARGUMENTS, SHELL_ARGUMENTS
from dtk.model.code import deploy_files
from dtk.model.json_data import Json, JsonObject, ReadOnlyObject
from dtk.model.module import PUPPET_FOLDER, Action, Command, DeployCall, Item, Operation, Output, PuppetResource
from dtk.model.names import ASSEMBLY_WIDE, CREATE
from dtk.model.planned_action import (
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
from dtk.plan.resolve.topology import Instance
from dtk.plan.resolve.values import Values, static_node_variables
from dtk.plan.workflow.stages import StagedAction

_NODE_ADDRESS = re.compile(r"\bnode\.host_address\b")
_STAGE_OPTIONS = ("retries", "retry_delay", "timeout", "on_failure")


def canonical(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no blanks, so that equal values have equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def digest_of(value: object) -> str:
    """Return ``sha256:…`` of a value's canonical JSON."""
    return f"sha256:{hashlib.sha256(canonical(value).encode()).hexdigest()}"


@cache
def _file_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def action_digest(instance: Instance, action: str) -> str:
    """Return the digest of an action's definition and of the module files it uses."""
    return digest_of({"definition": _definition(instance, action), "files": action_files(instance, action)})


def defined_action(instance: Instance, action: str) -> Action:
    """Return an action's definition; converging a component that has no create action does nothing."""
    found = instance.component.actions.get(action)
    return found or Action(action, "none", instance.component.location)


def _content(value: object) -> object:
    """Return a definition as plain data: what it says, not where; a moved line or a default is no change."""
    if is_dataclass(value):
        stated = ((f, getattr(value, f.name)) for f in fields(value) if f.name not in ("location", "description"))
        return {f.name: _content(item) for f, item in stated if not _is_default(item, f.default)}
    if isinstance(value, Mapping):
        return {key: _content(item) for key, item in value.items()}
    return [_content(item) for item in value] if isinstance(value, (list, tuple)) else value


def _is_default(value: object, default: object) -> bool:
    return value in ((), {}) if default is MISSING else bool(value == default)


def action_files(instance: Instance, action: str) -> dict[str, str]:
    """Return the module files an action uses: path in the module to the SHA-256 of its content, in hex."""
    folder = instance.folder
    names = {name for item in defined_action(instance, action).items for name in _sources(item, folder)}
    return {name: _file_digest(folder / name) for name in sorted(names)}


def _sources(item: Item, folder: Path) -> Iterator[str]:
    if isinstance(item, DeployCall):
        yield from deploy_files(folder, item.file)
        return
    if isinstance(item, Command):
        source = item.source
    elif isinstance(item, PuppetResource):
        source = PUPPET_FOLDER if (folder / PUPPET_FOLDER).is_dir() else ""
    else:
        source = str(item.arguments.get(FILE_ARGUMENTS.get(item.name, ""), ""))
    path = folder / source
    if not source or source.startswith("/"):
        return
    if path.is_dir():
        yield from (str(found.relative_to(folder)) for found in sorted(path.rglob("*")) if found.is_file())
    else:
        yield source


def planned_attributes(instance: Instance, action: str, values: Values) -> dict[str, Value]:
    """Return the attributes an action takes, by name, as planned.

    ``create`` does not take its own component's dynamic attributes: it makes them; what is an input as well it takes as
    it is given. An action whose text uses the
    address of its node takes that too, so that a new address counts as a change.
    """
    takes = {
        name: values.given(instance, name) if action == CREATE else values.of(instance, name)
        for name, attribute in instance.component.attributes.items()
        if not (attribute.is_computed and action == CREATE)
    }
    if instance.node != ASSEMBLY_WIDE and _NODE_ADDRESS.search(canonical(_definition(instance, action))):
        takes["node.host_address"] = values.node_attribute(instance.node, "host_address")
    return takes


def _definition(instance: Instance, action: str) -> object:
    return _content(defined_action(instance, action))


def plan_action(staged: StagedAction, values: Values, reasons: tuple[str, ...]) -> PlannedAction:
    """Return one action as the executor needs it.

    Raises:
        InvalidError: a template of the action uses a value that is not there.
    """
    instance = staged.instance
    attributes = {**planned_attributes(instance, staged.action, values), **_parameters(staged)}
    variables, service = _node_variables(instance, values), values.topology.service
    planned = build_action(instance, staged.action, attributes, variables, reasons, service=service)
    options = {name: value for name in _STAGE_OPTIONS if (value := getattr(staged.options, name)) is not None}
    return replace(planned, repeat=staged.repeat, **options)


def _parameters(staged: StagedAction) -> dict[str, Value]:
    """An action works with its parameters as it does with its component's attributes."""
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
    """Put an action together from attributes that are worked out already; ``service`` is where they can be set."""
    action = defined_action(instance, name)
    declared = [*instance.component.attributes.values(), *action.parameters.values()]
    hidden = tuple(sorted(a.name for a in declared if a.hidden or a.secret))
    renderer = _Renderer(instance, attributes, node_variables, hidden, service)
    digest = action_digest(instance, name)
    # What an action sets itself is no other work when it is set: a resume would repeat it.
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
        items=tuple(found for item in action.items if (found := renderer.item(item)) is not None),
        outputs=tuple(renderer.output(output) for output in action.outputs),
        defaults=renderer.arguments(action.defaults, action.location),
        files=action_files(instance, name),
        action_digest=digest,
        input_digest=digest_of({"action": digest, "attributes": inputs}),
        retries=action.retries,
        retry_delay=action.retry_delay,
        timeout=action.timeout,
        on_failure=action.on_failure,
    )


@dataclass(frozen=True)
class Guards:
    """What decides whether an item is done, rendered as far as values are known."""

    when: tuple[Template, ...]
    if_: Text
    unless: Text


class _Renderer:
    """Renders an action's texts with the values that are known; the others stay templates for the executor."""

    def __init__(
        self,
        instance: Instance,
        attributes: Mapping[str, Value],
        node_variables: ReadOnlyObject,
        hidden: tuple[str, ...],
        service: str,
    ) -> None:
        from dtk.dsl.template.rendering import Unknown  # noqa: PLC0415 - Jinja2 is loaded by plans, not by listings

        self.instance = instance
        self.service = service
        self.attributes = [name for name in attributes if "." not in name]
        pending = "host_address" not in node_variables and instance.node != ASSEMBLY_WIDE
        node = _PendingNode(node_variables) if pending else dict(node_variables)
        self.variables: dict[str, object] = {
            name: value.data if isinstance(value, Known) and name not in hidden else Unknown(name)
            for name, value in attributes.items()
        }
        self.variables["node"] = node
        self.variables["dtk"] = {"module": {"dir": Unknown("dtk.module.dir")}}

    def item(self, item: Item) -> PlannedItem | None:
        """Return an item as the plan holds it; None when it is not to be done."""
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
        return self._operation(item, guards) if isinstance(item, Operation) else self._command(item, guards)

    def _condition(self, text: str, location: Location) -> bool | Template:
        """Return whether a condition holds, or the template that says so once its values are known."""
        from dtk.dsl.template.rendering import TemplateProblem, truth  # noqa: PLC0415 - as above

        value = self._text(text, location, shell=False)
        if isinstance(value, Template):
            return value
        try:
            return truth(value.data, text)
        except TemplateProblem as problem:
            raise InvalidError("the plan can't be made", [Problem(str(problem), location)]) from None

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
        """Return an output as the plan holds it; its text waits for the action and so stays a template."""
        attribute = self.instance.component.attributes[output.attribute]
        path = self.instance.path(output.attribute)
        return PlannedOutput(
            path, output.attribute, attribute.type, output.source, output.text, output.arguments, attribute.hidden
        )

    def arguments(self, given: ReadOnlyObject, location: Location, *, shell: str = "") -> dict[str, Value]:
        """Render the texts in arguments; those in the one named ``shell`` are shell commands."""
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
        # An expression gives what it names: a mode that is a number, an owner that nobody has set.
        return "" if value.data in (None, False) else str(value.data)

    def _text(self, text: str, location: Location, *, shell: bool) -> Known | Template:
        """Render a text; one that uses what is not known yet stays a template."""
        from dtk.dsl.template.rendering import NeedsUnknown, TemplateProblem, render  # noqa: PLC0415 - as above

        try:
            return Known(render(text, self.variables, shell=shell))
        except NeedsUnknown:
            return Template(text, shell)
        except TemplateProblem as problem:
            where = self.instance.declared_path("").rstrip("/")
            found = Problem(f"{problem} (in {where})", location, fix=self._setting(problem.unset))
            raise InvalidError("the plan can't be made", [found]) from None

    def _setting(self, name: str) -> str:
        """Return the command that sets an attribute, "" for what nobody can set."""
        attribute = self.instance.component.attributes.get(name)
        if attribute is None or attribute.constant or attribute.is_computed or not self.service:
            return ""
        return f"dtk set-attribute {self.service} {self.instance.declared_path(name)} VALUE"


class _PendingNode(dict[str, Json]):
    """A node that is not there yet: what is static about it is known, every other attribute is not."""

    def __missing__(self, key: str) -> Json:
        from dtk.dsl.template.rendering import NeedsUnknown  # noqa: PLC0415 - as above

        raise NeedsUnknown(f"node.{key}")
