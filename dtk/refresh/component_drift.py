"""What converging a component again would change on its node, found without changing anything.

A pyinfra operation is a generator of commands computed from facts. Here it runs as in a task, but with a connector that
reads the facts and runs none of the commands; the recorded commands are what would be done. Guards are run, since they
only check (docs/services.md). Outputs are not read: a value may depend on the time at which it is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from pyinfra.api.exceptions import PyinfraError
from pyinfra.facts.files import Directory, File

from dtk.apply.items.action_run import Work, time_limit
from dtk.apply.items.item import (
    arguments_of,
    conditions_hold,
    do_item,
    guards_hold,
    label_of,
    limit_of,
    rendered_item,
    unfolded,
)
from dtk.apply.reporting.failure import ActionError
from dtk.apply.reporting.operation_record import OperationRecord
from dtk.apply.reporting.redaction import Redactor
from dtk.apply.session.engine import runs_each_time
from dtk.errors import DtkError
from dtk.model.json_data import JsonObject, ReadOnlyObject
from dtk.model.plan import Finding, FindingKind
from dtk.model.planned_action import Guarded, PlannedAdd, PlannedItem, PlannedOperation, PlannedRun
from dtk.model.value import Known
from dtk.refresh.read_only_session import ReadOnlyConnector

SECONDS = 60.0
"""Time limit for checking an item without a time limit of its own."""
LONGEST = 100
"""Maximum characters of a command to show."""
_HOUSEKEEPING = ("update", "upgrade", "restarted", "reloaded", "daemon_reload")
"""Arguments that make an operation run a command every time; the rest of it is checked without them."""
_FILES = {"files.put": "dest", "files.template": "dest", "files.line": "path", "files.replace": "path"}
_FILES |= {"files.block": "path", "files.file": "path", "files.directory": "path"}
_CONTENT = ("files.line", "files.replace", "files.block")
_UNCHECKED = {
    "deploy": "a function of the module decides what it does",
    "puppet": "checking it would make Puppet write to the node",
}


def drift_of(work: Work, redactor: Redactor) -> Iterator[Finding]:
    """Yield the findings about one action on its node.

    Args:
        work: the action; its host has a ``ReadOnlyConnector``.
        redactor: removes the action's secrets from texts.

    Raises:
        ConnectionLostError: the connection to the node was lost.
    """
    for item in work.action.items:
        if isinstance(item, Guarded) and item.if_changed:
            continue  # skipped: the item that triggers it is checked itself
        for kind, what in _item(work, item):
            yield _finding(work, redactor, kind, what, label_of(item))


def _finding(work: Work, redactor: Redactor, kind: FindingKind, what: str, operation: str) -> Finding:
    shown = _shortened(redactor.text(operation)), _shortened(redactor.text(what), 3 * LONGEST)
    return Finding(work.action.node, kind, shown[1], work.action.component, shown[0])


def _item(work: Work, item: PlannedItem) -> Iterator[tuple[FindingKind, str]]:
    work.session.record = OperationRecord()
    connector = _connector(work)
    try:
        with time_limit(work, limit_of(item) or SECONDS):
            for inner, one in unfolded(work, item) if isinstance(item, Guarded) else ((work, item),):
                connector.would.clear()
                yield from _findings(inner, one)
    except (ActionError, PyinfraError, NotImplementedError) as error:
        yield "unchecked", error.message if isinstance(error, DtkError) else str(error)


def _findings(work: Work, item: PlannedItem) -> Iterator[tuple[FindingKind, str]]:
    if not conditions_hold(work, item):
        return
    item = rendered_item(work, item)
    if not isinstance(item, (PlannedOperation, PlannedRun, PlannedAdd)):
        yield "unchecked", _UNCHECKED[item.kind]
        return
    runs = isinstance(item, PlannedRun) or (isinstance(item, PlannedOperation) and runs_each_time(item.name))
    # Without a guard it is unknown whether it would change anything: it is counted, but not as drift.
    if runs and not (item.if_ or item.unless):
        yield "runs_each_time", "runs each time"
    elif guards_hold(work, item):
        if isinstance(item, PlannedRun) or runs:
            yield "differs", "would run, according to its guard"
        else:
            yield from _changes(work, item)


def _changes(work: Work, item: PlannedOperation | PlannedAdd) -> Iterator[tuple[FindingKind, str]]:
    arguments: JsonObject = {}
    if isinstance(item, PlannedOperation):
        arguments = arguments_of(work, item)
        arguments |= {name: False for name in _HOUSEKEEPING if name in arguments}
        item = replace(item, arguments={name: Known(value) for name, value in arguments.items()})
    connector = _connector(work)
    work.session.record = OperationRecord()
    do_item(work, item)
    failed = work.session.record.failed
    if failed is not None:
        last = failed.output.strip().rpartition("\n")[2]
        yield "unchecked", f"no response from the node to '{_shortened(failed.command)}': {last}"
    elif connector.would:
        yield "differs", "; ".join(_words(work, item, arguments, tuple(connector.would)))


def _words(
    work: Work, item: PlannedOperation | PlannedAdd, arguments: ReadOnlyObject, would: tuple[str, ...]
) -> list[str]:
    """Describe what differs, without any file content, which may be secret."""
    desired: JsonObject = {**work.defaults, **arguments}
    name = "files.put" if isinstance(item, PlannedAdd) else item.name
    if isinstance(item, PlannedAdd):
        desired |= {"dest": str(item.target), "user": str(item.owner) or None, "mode": str(item.mode) or None}
    if name in _FILES and desired.get("present", True):
        return _file_words(work, name, desired, would)
    more = f" and {len(would) - 1} more" if len(would) > 1 else ""
    return [f"would run: {_shortened(would[0])}{more}"]


def _file_words(work: Work, name: str, desired: ReadOnlyObject, would: tuple[str, ...]) -> list[str]:
    path = str(desired[_FILES[name]])
    uploads = [command.removeprefix("upload ") for command in would if command.startswith("upload ")]
    path = uploads[0] if uploads else path
    options = {key: value for key, value in desired.items() if key.startswith("_")}
    found: Any = work.host.get_fact(Directory if name == "files.directory" else File, path=path, **options)
    if found is None:
        return [f"{path} is missing"]
    if not found:
        return [f"{path} is not a {'directory' if name == 'files.directory' else 'file'}"]
    words = ["content differs"] if uploads or name in _CONTENT else []
    for key, word in (("mode", "mode"), ("user", "owner"), ("group", "group")):
        if desired.get(key) is not None and str(found[key]) != str(desired[key]).lstrip("0"):
            words.append(f"{word} {found[key]} → {desired[key]}")
    return [f"{path} {', '.join(words) or f'would be changed: {_shortened(would[0])}'}"]


def _connector(work: Work) -> ReadOnlyConnector:
    connector = work.host.connector
    if not isinstance(connector, ReadOnlyConnector):
        raise TypeError(f"{work.action.node} is not read only")
    return connector


def _shortened(text: str, longest: int = LONGEST) -> str:
    first, _, more = text.strip().partition("\n")
    return f"{first[: longest - 1]}…" if more or len(first) > longest else first
