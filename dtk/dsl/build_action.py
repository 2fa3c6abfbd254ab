"""Actions of a component, built from their document: operations, commands, outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from dtk.dsl.cursor import Cursor
from dtk.errors import Problem
from dtk.model.module import Action, Command, Operation, Output, PuppetResource
from dtk.model.written import as_written

Provider = Literal["operations", "commands", "compute", "puppet_class", "puppet_definition", "none"]
_PROVIDERS: tuple[Provider, ...] = ("operations", "commands", "compute", "puppet_class", "puppet_definition")
_BODIES = ", ".join(_PROVIDERS)
_RETRY_DELAY = 5.0
_RUN = "RUN"
_ADD = "ADD"


def build_actions(component: Cursor, problems: list[Problem]) -> dict[str, Action]:
    """Return a component's actions by name; ``problems`` takes what is wrong with them."""
    parameters = tuple(_puppet_parameters(component))
    return {entry.name: _action(entry, parameters, problems) for entry in component.entries("actions")}


def _puppet_parameters(component: Cursor) -> Iterator[str]:
    """Yield the attributes that Puppet is given (original-dtk.md 2.1.2: constants are not sent)."""
    is_titled = not component.flag("singleton", default=True)
    for entry in component.entries("attributes"):
        if not (entry.flag("constant") or entry.flag("dynamic") or (is_titled and entry.name == "name")):
            yield entry.name


def provider_of(cursor: Cursor) -> Provider:
    """Return how an action is done: the first of its bodies, ``none`` when it has none."""
    return next((provider for provider in _PROVIDERS if cursor.get(provider)), "none")


def _action(cursor: Cursor, parameters: tuple[str, ...], problems: list[Problem]) -> Action:
    problems += _body_problems(cursor)
    defaults = cursor.get("defaults")
    delay = _seconds(cursor, "retry_delay")
    return Action(
        name=cursor.name,
        provider=provider_of(cursor),
        location=cursor.key_place,
        items=(
            *_operations(cursor, problems),
            *(_command(entry) for entry in cursor.entries("commands")),
            *_puppet(cursor, parameters),
        ),
        outputs=(*_computed(cursor), *_outputs(cursor)),
        defaults={entry.name: as_written(entry.value) for entry in defaults.entries()} if defaults else {},
        description=cursor.text("description"),
        retries=int(cursor.text("retries", "0")),
        retry_delay=_RETRY_DELAY if delay is None else delay,
        timeout=_seconds(cursor, "timeout"),
        on_failure="continue" if cursor.text("on_failure") == "continue" else "stop",
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
    if "compute" in cursor.value and "outputs" in cursor.value:
        yield cursor.key_problem("compute gives the outputs itself", expected="compute without outputs")


def _seconds(cursor: Cursor, key: str) -> float | None:
    found = cursor.get(key)
    return None if found is None else float(found.value)


def operation_cursor(item: Cursor) -> Cursor | None:
    """Return the one operation in an item of ``operations``, None when there is none or more than one."""
    named = [entry for entry in item.entries() if entry.name not in ("if", "unless")]
    return named[0] if len(named) == 1 else None


def _operations(cursor: Cursor, problems: list[Problem]) -> Iterator[Operation]:
    for item in cursor.entries("operations"):
        operation = operation_cursor(item)
        if operation is not None:
            yield Operation(
                name=operation.name,
                arguments=as_written(operation.value or {}),
                location=operation.key_place,
                if_=item.text("if"),
                unless=item.text("unless"),
            )
        elif not item.is_partial:
            names = " and ".join(f"'{entry.name}'" for entry in item.entries() if "." in entry.name)
            said = f"{names} stand in one item" if names else "the item names no operation"
            problems.append(item.problem(said, expected="one operation, e.g. files.directory: {path: …}"))


def _command(cursor: Cursor) -> Command:
    if isinstance(cursor.value, str):
        return Command(cursor.place, command=cursor.value.removeprefix(_RUN).strip())
    if _ADD in cursor.value:
        return Command(
            cursor.place,
            source=cursor.text("source"),
            target=cursor.text("target"),
            template=cursor.flag("template"),
            owner=cursor.text("owner"),
            mode=cursor.text("mode"),
            if_=cursor.text("if"),
            unless=cursor.text("unless"),
        )
    return Command(
        cursor.place,
        command=cursor.text(_RUN),
        if_=cursor.text("if"),
        unless=cursor.text("unless"),
        timeout=_seconds(cursor, "timeout"),
        retries=int(cursor.text("retries", "0")),
    )


def _puppet(cursor: Cursor, parameters: tuple[str, ...]) -> Iterator[PuppetResource]:
    for kind, key in (("class", "puppet_class"), ("definition", "puppet_definition")):
        found = cursor.get(key)
        if found:
            yield PuppetResource(
                found.place, "class" if kind == "class" else "definition", str(found.value), parameters
            )


def _outputs(cursor: Cursor) -> Iterator[Output]:
    for entry in cursor.entries("outputs"):
        if isinstance(entry.value, str):
            yield Output(entry.name, "expression", entry.value, entry.key_place)
        elif entry.get("command"):
            yield Output(entry.name, "command", entry.text("command"), entry.key_place)
        elif entry.get("fact"):
            arguments = entry.get("arguments")
            given = as_written(arguments.value) if arguments else {}
            yield Output(entry.name, "fact", entry.text("fact"), entry.key_place, given)


def _computed(cursor: Cursor) -> Iterator[Output]:
    for entry in cursor.entries("compute"):
        yield Output(entry.name, "expression", entry.value, entry.key_place)
