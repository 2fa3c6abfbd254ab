"""Runs one item of an action (a pyinfra operation, a RUN, an ADD …) with its guards, and records what it did."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import gevent
from pyinfra.api.exceptions import PyinfraError

from dtk.apply.items.action_run import Work, failed_command, time_limit
from dtk.apply.items.deploys import run_deploy
from dtk.apply.items.puppet import apply_resource
from dtk.apply.reporting.failure import ActionError, FailedCommand
from dtk.apply.reporting.operation_record import OperationRecord
from dtk.apply.session.engine import run_operation
from dtk.model.arguments import TEMPLATE_BLANKS, TEMPLATE_SETTINGS
from dtk.model.json_data import JsonObject, ReadOnlyJson, ReadOnlyObject, as_object
from dtk.model.loop import elements_of
from dtk.model.module import PUPPET_FOLDER
from dtk.model.planned_action import (
    Guarded,
    PlannedAdd,
    PlannedDeploy,
    PlannedItem,
    PlannedOperation,
    PlannedPuppet,
    PlannedRun,
    Text,
)
from dtk.model.value import KNOWN_AFTER_APPLY, UNSET, Known, Template, Value
from dtk.model.yaml_flow import flow_text

T = TypeVar("T", bound=PlannedItem)

_TEMPLATES = {"files.template": "files.put", "server.script_template": "server.script"}
"""Operations whose template dtk renders, in the sandbox, and the operation that then uploads the text."""
_UPLOADS = ("files.put", "files.sync", "server.script")
"""Operations that upload a file or a folder of the module to the node."""
LONGEST_ARGUMENT = 400
"""Characters of an argument's value in an event: an argument may be a whole file."""
_ABOUT = ("src", "dest", "path", "url", "service", "packages", "commands")
"""Arguments that identify what an operation works on, the most informative first."""
_OWN_ARGUMENTS = ("src", "dest", "user", "group", "mode", "create_remote_dir", "args", "name", TEMPLATE_SETTINGS)


def run_item(work: Work, item: PlannedItem) -> bool:
    """Run one item, with its loop and its retries, and record each run.

    Returns:
        Whether it changed anything.

    Raises:
        ActionError: it failed or timed out.
    """
    if isinstance(item, Guarded):
        return _run_guarded(work, item)
    return _run_repeatedly(work, item)


def unfolded(work: Work, item: Guarded) -> Iterator[tuple[Work, Guarded]]:
    """Yield the item for each element of its loop, with that element's values; without a loop, yield it unchanged.

    Raises:
        ActionError: its loop iterates over something other than a list or a hash.
    """
    if item.item != UNSET:
        yield replace(work, values=work.values.with_element(work.values.data(item.item))), item
        return
    if item.for_ == UNSET:
        yield work, item
        return
    try:
        elements = elements_of(work.values.data(item.for_))
    except ValueError as error:
        raise ActionError(f"{work.name}: {label_of(item)}: {error}") from None
    for element in elements:
        yield replace(work, values=work.values.with_element(element)), replace(item, for_=UNSET, item=Known(element))


def _run_guarded(work: Work, item: Guarded) -> bool:
    """Run an item for each element of its loop; record its id if it changed something."""
    changed = False
    for inner, one in unfolded(work, item):
        changed |= _run_repeatedly(inner, one)
        if changed and item.id:
            work.progress.changed.add(item.id)
    return changed


def _run_repeatedly(work: Work, item: PlannedItem) -> bool:
    """Run one item; retry it as often as it allows while it fails."""
    if not conditions_hold(work, item):
        _report(work, _as_in_the_module(item), OperationRecord(), 0.0, changed=False, skipped=True)
        return False
    if ahead := work.connector.look_ahead:
        ahead.begin_next(has_limit=limit_of(item) is not None)
    attempts = item.retries + 1 if isinstance(item, PlannedRun) else 1
    for attempt in range(1, attempts + 1):
        try:
            # Rendered again for each attempt, within the time limit: a template can take long, too.
            with time_limit(work, limit_of(item)):
                rendered = rendered_item(work, item)
                # Report what runs: a download may print nothing for minutes.
                work.reporter.waiting(_begun(rendered))
                return _run_once(work, rendered)
        except ActionError as error:
            if attempt == attempts:
                raise
            work.reporter.retrying(attempt + 1, attempts, work.action.retry_delay, error.message)
            gevent.sleep(work.action.retry_delay)
    raise AssertionError("the last attempt returns or raises")


def limit_of(item: PlannedItem) -> float | None:
    """Return an item's time limit in seconds; None if only that of its action applies."""
    return item.timeout if isinstance(item, PlannedRun) else None


def conditions_hold(work: Work, item: PlannedItem) -> bool:
    """Return whether all of an item's ``when`` conditions hold and an item named in ``if_changed`` has changed."""
    if not isinstance(item, Guarded):
        return True
    if item.if_changed and not work.progress.may_have_changed(item.if_changed):
        return False
    return all(work.values.condition(condition) for condition in item.when)


def rendered_item(work: Work, item: T) -> T:
    """Return an item with its templates rendered."""
    if not isinstance(item, Guarded):
        return item
    text = work.values.text
    found = replace(item, if_=text(item.if_), unless=text(item.unless))
    if isinstance(found, PlannedOperation):
        arguments = {name: Known(work.values.data(value)) for name, value in found.arguments.items()}
        return replace(found, arguments=arguments)
    if isinstance(found, PlannedRun):
        return replace(found, command=text(found.command))
    return replace(found, target=text(found.target), owner=text(found.owner), mode=text(found.mode))


def _as_in_the_module(item: PlannedItem) -> PlannedItem:
    """Return a skipped item with its templates unrendered, as in the module: values may be missing."""
    if isinstance(item, PlannedRun):
        return replace(item, command=_written(item.command))
    return replace(item, target=_written(item.target)) if isinstance(item, PlannedAdd) else item


def _written(text: Text) -> str:
    return text.text if isinstance(text, Template) else text


def _run_once(work: Work, item: PlannedItem) -> bool:
    record = work.session.record = OperationRecord()
    began = time.monotonic()
    changed = skipped = False
    try:
        skipped = not guards_hold(work, item)
        # Output of a guard is not part of the item's result.
        record = work.session.record = OperationRecord()
        changed = not skipped and do_item(work, item)
    except PyinfraError as error:
        raise _failure(work, item, error) from error
    finally:
        _report(work, item, record, time.monotonic() - began, changed=changed, skipped=skipped)
    return changed


def guards_hold(work: Work, item: PlannedItem) -> bool:
    """Return whether the guards of a rendered item, run on the node, allow it to run."""
    if not isinstance(item, Guarded):
        return True
    if item.if_ and not work.query(str(item.if_))[0]:
        return False
    return not (item.unless and work.query(str(item.unless))[0])


def do_item(work: Work, item: PlannedItem) -> bool:
    """Run a rendered item without its guards and without recording it; return whether it changed anything."""
    if isinstance(item, PlannedOperation):
        return _operation(work, item)
    if isinstance(item, PlannedRun):
        return _run(work, item)
    if isinstance(item, PlannedAdd):
        return _add(work, item)
    return _puppet(work, item) if isinstance(item, PlannedPuppet) else _deploy(work, item)


def _operation(work: Work, item: PlannedOperation) -> bool:
    # pyinfra accepts file objects as well as plain data, hence Any.
    arguments: dict[str, Any] = {**work.defaults, **arguments_of(work, item)}
    name = item.name
    if name in _TEMPLATES:
        arguments["src"] = io.StringIO(_rendered_file(work, arguments))
        arguments = {key: value for key, value in arguments.items() if key in _OWN_ARGUMENTS or key.startswith("_")}
        arguments.pop(TEMPLATE_SETTINGS, None)
        return run_operation(work.host, _TEMPLATES[name], arguments)
    if name in _UPLOADS:
        arguments["src"] = str(_copied(work, str(arguments.get("src", ""))))
    return run_operation(work.host, name, arguments)


def arguments_of(work: Work, item: PlannedOperation) -> JsonObject:
    """Return an operation's own arguments with their templates rendered."""
    return {name: work.values.data(value) for name, value in item.arguments.items()}


def _rendered_file(work: Work, arguments: ReadOnlyObject) -> str:
    more = {key: value for key, value in arguments.items() if key not in _OWN_ARGUMENTS and not key.startswith("_")}
    settings = as_object(arguments.get(TEMPLATE_SETTINGS))
    blanks = [name for name in TEMPLATE_BLANKS if settings.get(name)]
    return work.values.file(_copied(work, str(arguments.get("src", ""))), more, blanks)


def _copied(work: Work, source: str) -> Path:
    """Return the local copy of a module's file or folder; no other local file is ever sent to a node.

    Raises:
        ActionError: it is not one of the files of the plan.
    """
    found = Path(source)
    # Checked against the plan's list, not the disk: .. and symbolic links can't reach a file that was not reviewed.
    if any(found == Path(path) or found in Path(path).parents for path in work.action.files):
        return work.files / found
    raise ActionError(f"{work.name}: '{source}' is not a file of the module that the plan was made from")


def _run(work: Work, item: PlannedRun) -> bool:
    if not work.execute(str(item.command)):
        raise _failure(work, item, None)
    return True


def _add(work: Work, item: PlannedAdd) -> bool:
    source = _copied(work, item.source)
    content = io.StringIO(work.values.file(source, {})) if item.template else str(source)
    arguments: dict[str, Any] = {**work.defaults, "src": content, "dest": item.target}
    if item.owner:
        arguments["user"] = item.owner
    if item.mode:
        arguments["mode"] = item.mode
    return run_operation(work.host, "files.put", arguments)


def _puppet(work: Work, item: PlannedPuppet) -> bool:
    shipped = [path for path in work.action.files if Path(path).parts[0] == PUPPET_FOLDER]
    code = _copied(work, PUPPET_FOLDER) if shipped else None
    changed = apply_resource(work, item, code)
    if changed is None:
        raise _failure(work, item, None)
    return changed


def _deploy(work: Work, item: PlannedDeploy) -> bool:
    return run_deploy(work, item, _copied(work, item.name.rpartition(":")[0]))


def _failure(work: Work, item: PlannedItem, error: PyinfraError | None) -> ActionError:
    failed = work.session.record.failed
    if failed is not None:
        return failed_command(work, failed)
    running = work.session.record.running
    if running:
        return failed_command(work, FailedCommand(running, None, work.session.record.last_output()))
    return ActionError(f"{work.name}: {label_of(item)}: {error}")


def label_of(item: PlannedItem) -> str:
    """Return an item's name in messages; for a text with unknown values, its template."""
    if isinstance(item, PlannedPuppet):
        return f"puppet {item.resource} {item.name}"
    if isinstance(item, PlannedAdd):
        return f"ADD {item.source} {_written(item.target)}"
    return f"RUN {_written(item.command).partition(chr(10))[0]}" if isinstance(item, PlannedRun) else item.name


def _begun(item: PlannedItem) -> str:
    """Return a short description of an item for a progress line, with what it downloads or copies."""
    arguments = item.arguments if isinstance(item, PlannedOperation) else {}
    of = next((value.data for name in _ABOUT if isinstance(value := arguments.get(name), Known)), None)
    return f"{label_of(item)} {of}" if isinstance(of, str) else label_of(item)


def _report(
    work: Work, item: PlannedItem, record: OperationRecord, seconds: float, *, changed: bool, skipped: bool
) -> None:
    failed = record.failed
    happened = "failed" if failed else "skipped" if skipped else "changed" if changed else "unchanged"
    fields: JsonObject = {
        "component": work.action.component,
        "action": work.action.action,
        "kind": item.kind,
        "name": "" if isinstance(item, PlannedRun | PlannedAdd) else item.name,
        **_arguments(work, item),
        "command": _command(item, record),
        "changed": changed,
        "stdout": record.stdout.text(),
        "stderr": record.stderr.text(),
        "seconds": round(seconds, 3),
    }
    exit_code = failed.exit_code if failed else record.exit_code
    if exit_code is not None:
        fields["exit_code"] = exit_code
    if skipped:
        fields["skipped"] = True
    if record.output_is_held:
        fields["output_held"] = True
        happened = f"{happened}; a background process still holds the command's output, which dtk no longer reads"
    work.reporter.operation(f"{label_of(item)}: {happened}", **fields)


def _arguments(work: Work, item: PlannedItem) -> JsonObject:
    """Return an operation's arguments for its record, as the module writes them; redacted before they are shortened."""
    if not isinstance(item, PlannedOperation) or not item.arguments:
        return {}
    shown = {name: work.values.redacted(_argument(value)) for name, value in item.arguments.items()}
    texts = (f"{name}: {flow_text(value, LONGEST_ARGUMENT)}" for name, value in shown.items())
    return {"arguments": f"{{{', '.join(texts)}}}"}


def _argument(value: Value) -> ReadOnlyJson:
    """Return an argument's data; if its item was skipped and it was not rendered, the text in the module."""
    if isinstance(value, Known):
        return value.data
    return value.text if isinstance(value, Template) else KNOWN_AFTER_APPLY


def _command(item: PlannedItem, record: OperationRecord) -> str:
    """Return the commands that an item ran; if it ran none, how the module writes the item."""
    return record.command or (_written(item.command) if isinstance(item, PlannedRun) else label_of(item))
