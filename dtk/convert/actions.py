"""Converts the original's actions: Puppet and bash are carried over, Ruby functions are noted for rewriting."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dtk.convert.mustache import to_jinja
from dtk.convert.section import Notes, Section, as_entries
from dtk.dsl.yaml.cursor import Cursor
from dtk.model.json_data import Json
from dtk.model.names import CREATE
from dtk.model.types import is_type

_NAME = re.compile(r"^[a-zA-Z0-9_-]+$")
_PUPPET = ("puppet_class", "puppet_definition")
_RUN, _ADD = "RUN", "ADD"
_RUN_TEXT = re.compile(r"^(?:RUN|RUN:)\s+(?P<command>.+)$", re.DOTALL)
_REWRITE = "{{ none }}"
"""An expression that fails for any attribute type: until it is rewritten, the step fails and names the output."""
_UNSUPPORTED = {
    "docker_image": "Docker",
    "docker_run_params": "Docker",
    "docker_file_template": "Docker",
    "docker": "Docker",
    "workflow": "a nested workflow",
    "ruby": "a Ruby entry point",
    "delete_node": "deleting nodes",
    "bash": "a bash entry point in a container",
}


@dataclass(frozen=True)
class ComponentContext:
    """What an action needs to know of its component: dynamic attributes, and whether assemblies put it on nodes."""

    dynamic: tuple[str, ...]
    on_node: bool


def actions(section: Section, component: ComponentContext) -> dict[str, Json]:
    """Return a component's actions. Source: docs/original.md 4.1 and 4.4."""
    made: dict[str, Any] = {}
    external = section.take("external_ref")
    if external is not None:
        made[CREATE] = _external(external, section.notes)
    for entry in _bodies(section):
        if not _NAME.match(entry.name):
            section.notes.add(entry, f"'{entry.name}' is not a valid action name and is left out")
        elif isinstance(entry.value, dict):
            body = _action(entry, component, section.notes)
            made |= {entry.name: body} if body else {}
        else:
            section.notes.add(entry, f"action '{entry.name}' has no body and is left out")
    made = {name: body for name, body in made.items() if body}
    _unmade(made, component, section)
    return made


def _bodies(section: Section) -> Iterable[Cursor]:
    found = section.take("actions", "action")
    return found.entries() if found is not None and isinstance(found.value, dict) else ()


def _external(cursor: Cursor, notes: Notes) -> dict[str, Any]:
    section = Section(cursor, notes)
    made = {key: section.text(key) for key in _PUPPET if cursor.get(key)}
    section.leave("serverspec_test", "serverspec tests have no counterpart: write an action with commands")
    section.close()
    return made


def _action(cursor: Cursor, component: ComponentContext, notes: Notes) -> dict[str, Json]:
    section = Section(cursor, notes)
    section.take("provider")  # implied by the other keys
    made: dict[str, Any] = {key: section.text(key) for key in _PUPPET if cursor.get(key)}
    if section.take("description"):
        made["description"] = cursor.text("description")
    commands = [_command(entry, notes) for entry in as_entries(section.take("commands", "command"))]
    if any(commands):
        made["commands"] = [command for command in commands if command]
    functions = section.take("functions", "function")
    if functions is not None:
        made |= _function(functions, component, notes)
    section.take("stdout_and_stderr")  # both are always kept
    parameters = _parameters(section)
    if parameters:
        made["parameters"] = parameters
    for key, what in _UNSUPPORTED.items():
        section.leave(key, f"{what} has no counterpart; the action is not complete without it")
    section.close()
    if not made:
        notes.add(cursor, f"action '{cursor.name}' is left out: nothing in it could be converted")
    return made


def _parameters(section: Section) -> dict[str, Json]:
    """Return an action's parameters from ``parameters: {…}`` or ``parameter_defs: {parameters: {…}, strict: …}``."""
    given = section.take("parameters", "parameter_defs")
    if given is None or not isinstance(given.value, dict):
        return {}
    inner = Section(given, section.notes) if given.name == "parameter_defs" else None
    found = inner.take("parameters") if inner else given
    made: dict[str, Any] = {}
    for entry in found.entries() if found else ():
        one = Section(entry, section.notes) if isinstance(entry.value, dict) else None
        type_ = (one.text("type") if one else "") or "string"
        if not is_type(type_):
            section.notes.add(entry, f"unknown type '{type_}'; the parameter becomes a string")
        made[entry.name] = {"type": type_ if is_type(type_) else "string"}
        if one:
            made[entry.name] |= {"required": True} if one.value("required") is True else {}
            one.leave("dynamic", "parameters can't be dynamic: the caller of the action passes them")
            one.leave("display_format", "'display_format' has no counterpart")
            one.close()
    if inner:
        inner.take("strict")  # parameters are always checked
        inner.close()
    return made


def _command(cursor: Cursor, notes: Notes) -> Json:
    if isinstance(cursor.value, str):
        match = _RUN_TEXT.match(cursor.value)
        if not match:
            notes.add(cursor, f"'{cursor.value[:60]}' is neither RUN nor ADD and is left out")
            return None
        return f"{_RUN} {_shell(match['command'], cursor, notes)}"
    if not isinstance(cursor.value, dict):
        notes.add(cursor, "this is not a command and is left out")
        return None
    section = Section(cursor, notes)
    made = _add(section) if _ADD in cursor.value else _run(section)
    for key in ("if", "unless"):
        condition = section.take(key)
        if condition is not None:
            made[key] = _shell(str(condition.value), condition, notes)
    section.close()
    return made


def _run(section: Section) -> dict[str, Json]:
    command = section.take("RUN", "command")
    made: dict[str, Any] = {}
    if command is not None:
        made[_RUN] = _shell(str(command.value).removeprefix("RUN ").strip(), command, section.notes)
    timeout = section.value("timeout")
    return made | ({"timeout": timeout} if timeout else {})


def _add(section: Section) -> dict[str, Json]:
    made: dict[str, Any] = {_ADD: section.text("ADD"), "source": section.text("source")}
    target = section.take("target")
    if target is not None:
        made["target"] = to_jinja(str(target.value), raw=False)[0]
    if section.value("template"):
        made["template"] = True
    owner, mode = section.text("owner"), section.text("mode")
    made |= {"owner": owner} if owner else {}
    made |= {"mode": mode} if mode else {}
    if "{{" in made["source"]:
        section.notes.add(section.cursor, "the source can't be a template: name one file")
    return made


def _shell(text: str, cursor: Cursor, notes: Notes) -> str:
    made, remarks = to_jinja(text, raw=True)
    for remark in remarks:
        notes.add(cursor, remark)
    return made


def _function(cursor: Cursor, component: ComponentContext, notes: Notes) -> dict[str, Json]:
    """Return an action with the outputs of a Ruby function, whose expressions must be rewritten."""
    outputs: list[str] = []
    for entry in as_entries(cursor):
        for output in entry.entries("outputs"):
            ruby = " ".join(str(output.value).split())
            message = f"rewrite the Ruby function that computes '{output.name}' as an expression: {ruby}"
            notes.add(output, message)
            outputs.append(output.name)
    if not outputs:
        notes.add(cursor, "rewrite the function: it names no outputs")
        return {}
    key = "outputs" if component.on_node else "compute"
    text = f"Rewrite: the original computed {', '.join(outputs)} with Ruby"
    return {"description": text, key: dict.fromkeys(outputs, _REWRITE)}


def _unmade(made: dict[str, Any], component: ComponentContext, section: Section) -> None:
    """Add the dynamic attributes without a value to the outputs of ``create``, and note that they must be written.

    The original took the values that Puppet exported. Without an output, a link to the value would prevent planning.
    """
    given = {name for body in made.values() for key in ("outputs", "compute") for name in body.get(key, ())}
    missing = [name for name in component.dynamic if name not in given]
    attributes = section.cursor.get("attributes")
    for name in missing:
        entry = attributes.get(name) if attributes else None
        message = f"no action sets '{name}': add it to an action's outputs (the original took what Puppet exported)"
        section.notes.add(entry or section.cursor, message)
    if missing:
        create = made.setdefault(CREATE, {})
        key = "outputs" if component.on_node or set(create) - {"description", "compute"} else "compute"
        create[key] = {**create.get(key, {}), **dict.fromkeys(missing, _REWRITE)}
