"""One action on one node, complete: rendered as far as values are known, with its files and digests."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from dtk.errors import InvalidError, Location, Problem
from dtk.model.arguments import FILE_ARGUMENTS, SHELL_ARGUMENTS
from dtk.model.code import deploy_files
from dtk.model.expression import holds_secret, is_known, literal, plain
from dtk.model.module import PUPPET_FOLDER, Action, Command, DeployCall, Item, Operation, Output, PuppetResource
from dtk.model.names import ASSEMBLY_WIDE, CREATE
from dtk.model.plan import PlannedAction
from dtk.plan.resolve.topology import Instance
from dtk.plan.resolve.values import Values, static_node_variables
from dtk.plan.workflow.stages import StagedAction

_NODE_ADDRESS = re.compile(r"\bnode\.host_address\b")
_STAGE_OPTIONS = ("retries", "retry_delay", "timeout", "on_failure")


def canonical(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no blanks, so that equal values have equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def digest_of(value: Any) -> str:
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


def _said(value: Any) -> Any:
    """Return a definition as plain data: what it says, not where; a moved line or a default is no change."""
    if is_dataclass(value):
        said = ((f, getattr(value, f.name)) for f in fields(value) if f.name not in ("location", "description"))
        return {f.name: _said(item) for f, item in said if not _says_nothing(item, f.default)}
    if isinstance(value, Mapping):
        return {key: _said(item) for key, item in value.items()}
    return [_said(item) for item in value] if isinstance(value, (list, tuple)) else value


def _says_nothing(value: Any, default: Any) -> bool:
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


def planned_attributes(instance: Instance, action: str, values: Values) -> dict[str, Any]:
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


def _definition(instance: Instance, action: str) -> Any:
    return _said(defined_action(instance, action))


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


def _parameters(staged: StagedAction) -> dict[str, Any]:
    """An action works with its parameters as it does with its component's attributes."""
    return {name: literal(value) for name, value in staged.parameters.items()}


def _node_variables(instance: Instance, values: Values) -> dict[str, Any]:
    static = static_node_variables(values.topology, instance.node)
    existing = values.state.nodes.get(instance.node)
    if existing is None or instance.node in values.pending_nodes:
        return static
    return {**existing.attributes, **static}


def build_action(
    instance: Instance,
    name: str,
    attributes: Mapping[str, Any],
    node_variables: Mapping[str, Any],
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
    inputs = {attribute: value for attribute, value in attributes.items() if attribute not in own}
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
        defaults=renderer.value(dict(action.defaults), action.location, shell=False),
        files=action_files(instance, name),
        action_digest=digest,
        input_digest=digest_of({"action": digest, "attributes": inputs}),
        retries=action.retries,
        retry_delay=action.retry_delay,
        timeout=action.timeout,
        on_failure=action.on_failure,
    )


class _Renderer:
    """Renders an action's texts with the values that are known; the others stay templates for the executor."""

    def __init__(
        self,
        instance: Instance,
        attributes: Mapping[str, Any],
        node_variables: Mapping[str, Any],
        hidden: tuple[str, ...],
        service: str,
    ) -> None:
        from dtk.dsl.template.rendering import Unknown  # noqa: PLC0415 - Jinja2 is loaded by plans, not by listings

        self.instance = instance
        self.service = service
        self.attributes = [name for name in attributes if "." not in name]
        pending = "host_address" not in node_variables and instance.node != ASSEMBLY_WIDE
        node = _PendingNode(node_variables) if pending else dict(node_variables)
        self.variables: dict[str, Any] = {
            name: Unknown(name) if name in hidden or not is_known(value) or holds_secret(value) else plain(value)
            for name, value in attributes.items()
        }
        self.variables["node"] = node
        self.variables["dtk"] = {"module": {"dir": Unknown("dtk.module.dir")}}

    def item(self, item: Item) -> dict[str, Any] | None:
        """Return an item as plan.json holds it, without the keys that say nothing; None when it is not to be done."""
        if isinstance(item, DeployCall):
            return {"kind": "deploy", "name": f"{item.file}:{item.function}", "parameters": sorted(self.attributes)}
        if isinstance(item, PuppetResource):
            return self._puppet(item)
        when = [self._condition(condition, item.location) for condition in item.when]
        if False in when:
            return None
        parts = self._operation(item) if isinstance(item, Operation) else self._command(item)
        parts["when"] = [condition for condition in when if condition is not True]
        parts["if"] = self.value(item.if_, item.location, shell=True)
        parts["unless"] = self.value(item.unless, item.location, shell=True)
        return {key: value for key, value in parts.items() if value not in ("", None, False, 0, [])}

    def _condition(self, text: str, location: Location) -> Any:
        """Return whether a condition holds, or the template that says so once its values are known."""
        from dtk.dsl.template.rendering import TemplateProblem, truth  # noqa: PLC0415 - as above

        value = self.value(text, location, shell=False)
        if isinstance(value, dict):
            return value
        try:
            return truth(value, text)
        except TemplateProblem as problem:
            raise InvalidError("the plan can't be made", [Problem(str(problem), location)]) from None

    def _operation(self, item: Operation) -> dict[str, Any]:
        shell_argument = SHELL_ARGUMENTS.get(item.name)
        arguments = {
            key: self.value(value, item.location, shell=key == shell_argument) for key, value in item.arguments.items()
        }
        return {"kind": "operation", "name": item.name, "arguments": arguments}

    def _puppet(self, item: PuppetResource) -> dict[str, Any]:
        resource = {"kind": "puppet", "resource": item.kind, "name": item.name, "parameters": list(item.parameters)}
        return resource | ({"title": self.instance.name.title} if item.kind == "definition" else {})

    def _command(self, item: Command) -> dict[str, Any]:
        if not item.source:
            command = self.value(item.command, item.location, shell=True)
            return {"kind": "run", "command": command, "timeout": item.timeout, "retries": item.retries}
        texts = {"target": item.target, "owner": item.owner, "mode": item.mode}
        rendered = {key: self.value(text, item.location, shell=False) for key, text in texts.items()}
        return {"kind": "add", "source": item.source, "template": item.template, **rendered}

    def output(self, output: Output) -> dict[str, Any]:
        """Return an output as plan.json holds it; its text waits for the action and so stays a template."""
        attribute = self.instance.component.attributes[output.attribute]
        entry = {
            "attribute": self.instance.path(output.attribute),
            "name": output.attribute,
            "type": attribute.type,
            "source": output.source,
            "text": output.text,
            "arguments": dict(output.arguments),
            "hidden": attribute.hidden,
        }
        return {key: value for key, value in entry.items() if value not in ({}, False)}

    def value(self, value: Any, location: Location, *, shell: bool) -> Any:
        """Render every text in a value, keeping those that wait as ``{"$template": …}``."""
        if isinstance(value, Mapping):
            return {key: self.value(item, location, shell=shell) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(item, location, shell=shell) for item in value]
        return self._text(value, location, shell=shell) if isinstance(value, str) else value

    def _text(self, text: str, location: Location, *, shell: bool) -> Any:
        from dtk.dsl.template.rendering import NeedsUnknown, TemplateProblem, render  # noqa: PLC0415 - as above

        try:
            return render(text, self.variables, shell=shell)
        except NeedsUnknown:
            return {"$template": text, "shell": True} if shell else {"$template": text}
        except TemplateProblem as problem:
            where = self.instance.declared_path("").rstrip("/")
            told = Problem(f"{problem} (in {where})", location, fix=self._setting(problem.unset))
            raise InvalidError("the plan can't be made", [told]) from None

    def _setting(self, name: str) -> str:
        """Return the command that sets an attribute, "" for what nobody can set."""
        attribute = self.instance.component.attributes.get(name)
        if attribute is None or attribute.constant or attribute.is_computed or not self.service:
            return ""
        return f"dtk set-attribute {self.service} {self.instance.declared_path(name)} VALUE"


class _PendingNode(dict[str, Any]):
    """A node that is not there yet: what is static about it is known, every other attribute is not."""

    def __missing__(self, key: str) -> Any:
        from dtk.dsl.template.rendering import NeedsUnknown  # noqa: PLC0415 - as above

        raise NeedsUnknown(f"node.{key}")
