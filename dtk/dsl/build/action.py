"""Builds a component's actions from their document: operations, commands, outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

from dtk.dsl.build.attribute import build_parameters
from dtk.dsl.yaml.cursor import Cursor
from dtk.errors import Problem
from dtk.model.json_data import Json, as_object
from dtk.model.module import Action, Command, DeployCall, Item, Operation, Output, PuppetResource
from dtk.model.names import CREATE, DELETE
from dtk.model.written import as_written

Provider = Literal["operations", "commands", "compute", "deploy", "puppet_class", "puppet_definition", "none"]
_PROVIDERS: tuple[Provider, ...] = ("operations", "commands", "compute", "deploy", "puppet_class", "puppet_definition")
_BODIES = ", ".join(_PROVIDERS)
ITEM_KEYS = ("if", "unless", "when", "id", "if_changed", "for")
"""The keys of an item besides its operation or command."""
_RETRY_DELAY = 5.0
_RUN = "RUN"
_ADD = "ADD"


def build_actions(component: Cursor, problems: list[Problem]) -> dict[str, Action]:
    """Return a component's actions by name; append problems to ``problems``."""
    parameters = tuple(_puppet_parameters(component))
    return {entry.name: _action(entry, parameters, problems) for entry in component.entries("actions")}


def _puppet_parameters(component: Cursor) -> Iterator[str]:
    """Yield the attributes to pass to Puppet (docs/original.md 4.2: constants are not sent)."""
    is_titled = not component.flag("singleton", default=True)
    for entry in component.entries("attributes"):
        if not (entry.flag("constant") or _is_computed(entry) or (is_titled and entry.name == "name")):
            yield entry.name


def _is_computed(attribute: Cursor) -> bool:
    return attribute.flag("dynamic") and not attribute.flag("input")


def provider_of(cursor: Cursor) -> Provider:
    """Return an action's provider, given by the first of its bodies; ``none`` if it has none."""
    return next((provider for provider in _PROVIDERS if cursor.get(provider)), "none")


def _action(cursor: Cursor, parameters: tuple[str, ...], problems: list[Problem]) -> Action:
    problems += _body_problems(cursor)
    defaults = cursor.get("defaults")
    delay = _seconds(cursor, "retry_delay")
    return Action(
        name=cursor.name,
        provider=provider_of(cursor),
        location=cursor.key_location,
        items=(*_items(cursor, problems), *_puppet(cursor, parameters)),
        outputs=(*_computed(cursor), *_outputs(cursor)),
        defaults={entry.name: as_written(entry.value) for entry in defaults.entries()} if defaults else {},
        description=cursor.text("description"),
        retries=int(cursor.text("retries", "0")),
        retry_delay=_RETRY_DELAY if delay is None else delay,
        timeout=_seconds(cursor, "timeout"),
        on_failure="continue" if cursor.text("on_failure") == "continue" else "stop",
        parameters=build_parameters(cursor, problems),
        max_in_flight=cast("int | str | None", _written(cursor, "max_in_flight")),
    )


def _body_problems(cursor: Cursor) -> Iterator[Problem]:
    bodies = [provider for provider in _PROVIDERS if provider in cursor.value]
    if len(bodies) > 1:
        yield cursor.key_problem(
            f"action '{cursor.name}' has {' and '.join(bodies)}",
            expected=f"one of {_BODIES}",
        )
    if not bodies and "outputs" not in cursor.value and not cursor.is_partial:
        yield cursor.key_problem(
            f"action '{cursor.name}' does nothing",
            expected=f"{_BODIES} or outputs",
        )
    if cursor.name in (CREATE, DELETE) and cursor.get("parameters"):
        message = f"action '{cursor.name}' takes no parameters: it depends on attributes only"
        yield cursor.key_problem(message)
    if "compute" in cursor.value and "outputs" in cursor.value:
        yield cursor.key_problem("compute defines the outputs itself", expected="compute without outputs")


def _seconds(cursor: Cursor, key: str) -> float | None:
    found = cursor.get(key)
    return None if found is None else float(found.value)


def _items(cursor: Cursor, problems: list[Problem]) -> Iterator[Item]:
    for item, when in items_with_conditions(cursor, "operations"):
        yield from _operation(item, when, problems)
    for item, when in items_with_conditions(cursor, "commands"):
        yield _command(item, when)
    deploy = cursor.get("deploy")
    if deploy:
        file, _, function = str(deploy.value).rpartition(":")
        yield DeployCall(file, function, deploy.location)


def items_with_conditions(cursor: Cursor, key: str) -> Iterator[tuple[Cursor, tuple[str, ...]]]:
    """Yield the items of ``operations`` or ``commands``, also those in blocks, each with its ``when`` conditions."""
    for item in cursor.entries(key):
        found = item.get("when") if _is_map(item) else None
        when = (condition_text(found.value),) if found else ()
        if is_block(item, key):
            yield from ((inner, (*when, *more)) for inner, more in items_with_conditions(item, key))
        else:
            yield item, when


def condition_text(written: object) -> str:
    """Return a ``when`` as text; YAML's true and false are valid conditions too."""
    return str(written).lower() if isinstance(written, bool) else str(written)


def is_block(item: Cursor, key: str) -> bool:
    """Return whether an item is a block of items."""
    return _is_map(item) and key in item.value


def ids_named(item: Cursor) -> list[Cursor]:
    """Return the ids in an ``if_changed``, which is one id or a list."""
    found = item.get("if_changed")
    if found is None:
        return []
    return list(found.entries()) if isinstance(found.value, list) else [found]


def _written(cursor: Cursor, key: str) -> Json:
    found = cursor.get(key)
    return None if found is None else as_written(found.value)


def _is_map(item: Cursor) -> bool:
    return isinstance(item.value, dict)


def operation_cursor(item: Cursor) -> Cursor | None:
    """Return the operation in an item of ``operations``, None if there is not exactly one."""
    named = [entry for entry in item.entries() if entry.name not in ITEM_KEYS]
    return named[0] if len(named) == 1 else None


def _operation(item: Cursor, when: tuple[str, ...], problems: list[Problem]) -> Iterator[Operation]:
    operation = operation_cursor(item)
    if operation is not None:
        yield Operation(
            name=operation.name,
            arguments=as_object(as_written(operation.value)),
            location=operation.key_location,
            if_=item.text("if"),
            unless=item.text("unless"),
            when=when,
            id=item.text("id"),
            if_changed=tuple(str(entry.value) for entry in ids_named(item)),
            for_=_written(item, "for"),
        )
    elif not item.is_partial:
        names = " and ".join(f"'{entry.name}'" for entry in item.entries() if "." in entry.name)
        mistake = f"{names} are in one item" if names else "the item names no operation"
        problems.append(item.problem(mistake, expected="one operation, e.g. files.directory: {path: …}"))


def _command(cursor: Cursor, when: tuple[str, ...]) -> Command:
    if isinstance(cursor.value, str):
        return Command(cursor.location, command=cursor.value.removeprefix(_RUN).strip(), when=when)
    if _ADD in cursor.value:
        return Command(
            cursor.location,
            source=cursor.text("source"),
            target=cursor.text("target"),
            template=cursor.flag("template"),
            owner=cursor.text("owner"),
            mode=cursor.text("mode"),
            if_=cursor.text("if"),
            unless=cursor.text("unless"),
            when=when,
            id=cursor.text("id"),
            if_changed=tuple(str(entry.value) for entry in ids_named(cursor)),
            for_=_written(cursor, "for"),
        )
    return Command(
        cursor.location,
        command=cursor.text(_RUN),
        if_=cursor.text("if"),
        unless=cursor.text("unless"),
        timeout=_seconds(cursor, "timeout"),
        retries=int(cursor.text("retries", "0")),
        when=when,
        id=cursor.text("id"),
        if_changed=tuple(str(entry.value) for entry in ids_named(cursor)),
        for_=_written(cursor, "for"),
    )


def _puppet(cursor: Cursor, parameters: tuple[str, ...]) -> Iterator[PuppetResource]:
    for kind, key in (("class", "puppet_class"), ("definition", "puppet_definition")):
        found = cursor.get(key)
        if found:
            yield PuppetResource(
                found.location,
                "class" if kind == "class" else "definition",
                str(found.value),
                parameters,
                on_node=cursor.text("puppet_code") == "node",
            )


def _outputs(cursor: Cursor) -> Iterator[Output]:
    for entry in cursor.entries("outputs"):
        if isinstance(entry.value, str):
            yield Output(entry.name, "expression", entry.value, entry.key_location)
        elif entry.get("command"):
            yield Output(entry.name, "command", entry.text("command"), entry.key_location)
        elif entry.get("fact"):
            arguments = entry.get("arguments")
            given = as_object(as_written(arguments.value)) if arguments else {}
            yield Output(entry.name, "fact", entry.text("fact"), entry.key_location, given)


def _computed(cursor: Cursor) -> Iterator[Output]:
    for entry in cursor.entries("compute"):
        yield Output(entry.name, "expression", entry.value, entry.key_location)
