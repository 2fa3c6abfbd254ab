"""Runs one item of an action: a pyinfra operation, a RUN or an ADD, with its guards, and records what it did."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
from pyinfra.api.exceptions import PyinfraError

from dtk.apply.items.action_run import Work, failed_command, time_limit
from dtk.apply.items.deploys import run_deploy
from dtk.apply.items.puppet import apply_resource
from dtk.apply.reporting.failure import ActionError, FailedCommand
from dtk.apply.reporting.operation_record import OperationRecord
from dtk.apply.session.engine import run_operation
from dtk.model.module import PUPPET_FOLDER

Item = Mapping[str, Any]

_TEMPLATES = {"files.template": "files.put", "server.script_template": "server.script"}
"""Operations whose template is rendered here, in the sandbox, and what then puts the text on the node."""
_UPLOADS = ("files.put", "files.sync", "server.script")
"""Operations that take a file or a folder of the module to the node."""
_OWN_ARGUMENTS = ("src", "dest", "user", "group", "mode", "create_remote_dir", "args", "name", "jinja_env_kwargs")


def run_item(work: Work, item: Item) -> bool:
    """Run one item, again where it says so, and record each run.

    Returns:
        Whether it changed anything.

    Raises:
        ActionError: it failed, or took too long.
    """
    if not all(work.values.condition(condition) for condition in item.get("when", ())):
        _report(work, _as_written(item), OperationRecord(), 0.0, changed=False, skipped=True)
        return False
    item = {key: value for key, value in item.items() if key != "when"}
    attempts = int(item.get("retries", 0)) + 1
    for attempt in range(1, attempts + 1):
        try:
            with time_limit(work, item.get("timeout")):
                return _run_once(work, rendered_item(work, item))
        except ActionError as error:
            if attempt == attempts:
                raise
            work.reporter.retrying(attempt + 1, attempts, work.action.retry_delay, error.message)
            gevent.sleep(work.action.retry_delay)
    raise AssertionError("the last attempt returns or raises")


def rendered_item(work: Work, item: Item) -> Item:
    """Return an item with its templates rendered; as it is written when it is not to be done: they may not be fit."""
    if all(work.values.condition(condition) for condition in item.get("when", ())):
        return dict(work.values.rendered({key: value for key, value in item.items() if key != "when"}))
    return {**_as_written(item), "when": False}


def _as_written(value: Any) -> Any:
    """Return a part of an item that is not done, with its templates as the module has them: values may be missing."""
    if isinstance(value, Mapping):
        return value.get("$template") or {key: _as_written(part) for key, part in value.items()}
    return [_as_written(part) for part in value] if isinstance(value, (list, tuple)) else value


def _run_once(work: Work, item: Item) -> bool:
    record = work.session.record = OperationRecord()
    began = time.monotonic()
    changed = skipped = False
    try:
        skipped = not is_wanted(work, item)
        # What a guard printed is nobody's result.
        record = work.session.record = OperationRecord()
        changed = not skipped and do_item(work, item)
    except PyinfraError as error:
        raise _failure(work, item, error) from error
    finally:
        _report(work, item, record, time.monotonic() - began, changed=changed, skipped=skipped)
    return changed


def is_wanted(work: Work, item: Item) -> bool:
    """Say whether a rendered item is to be done: its conditions hold, and its guards, asked on the node, let it."""
    if item.get("when") is False:
        return False
    if item.get("if") and not work.look(item["if"])[0]:
        return False
    return not (item.get("unless") and work.look(item["unless"])[0])


def do_item(work: Work, item: Item) -> bool:
    """Do a rendered item without asking its guards or recording it; return whether it changed anything."""
    return _KINDS[item["kind"]](work, item)


def _operation(work: Work, item: Item) -> bool:
    arguments = {**work.defaults, **item.get("arguments", {})}
    name = item["name"]
    if name in _TEMPLATES:
        arguments["src"] = io.StringIO(_rendered_file(work, arguments))
        arguments = {key: value for key, value in arguments.items() if key in _OWN_ARGUMENTS or key.startswith("_")}
        arguments.pop("jinja_env_kwargs", None)
        return run_operation(work.host, _TEMPLATES[name], arguments)
    if name in _UPLOADS:
        arguments["src"] = str(_copied(work, str(arguments.get("src", ""))))
    return run_operation(work.host, name, arguments)


def _rendered_file(work: Work, arguments: Mapping[str, Any]) -> str:
    more = {key: value for key, value in arguments.items() if key not in _OWN_ARGUMENTS and not key.startswith("_")}
    return work.values.file(_copied(work, str(arguments.get("src", ""))), more)


def _copied(work: Work, source: str) -> Path:
    """Return the copy of a file or a folder of the module; nothing else of this machine gets to a node.

    Raises:
        ActionError: it is none of those that came with the plan.
    """
    wanted = Path(source)
    if any(wanted == Path(path) or wanted in Path(path).parents for path in work.action.files):
        return work.files / wanted
    raise ActionError(f"{work.name}: '{source}' is no file of the module that came with the plan")


def _run(work: Work, item: Item) -> bool:
    if not work.do(item["command"]):
        raise _failure(work, item, None)
    return True


def _add(work: Work, item: Item) -> bool:
    source = _copied(work, item["source"])
    content: Any = io.StringIO(work.values.file(source, {})) if item.get("template") else str(source)
    arguments = {**work.defaults, "src": content, "dest": item["target"]}
    if item.get("owner"):
        arguments["user"] = item["owner"]
    if item.get("mode"):
        arguments["mode"] = str(item["mode"])
    return run_operation(work.host, "files.put", arguments)


def _puppet(work: Work, item: Item) -> bool:
    shipped = [path for path in work.action.files if Path(path).parts[0] == PUPPET_FOLDER]
    code = _copied(work, PUPPET_FOLDER) if shipped else None
    changed = apply_resource(work, item, code)
    if changed is None:
        raise _failure(work, item, None)
    return changed


def _deploy(work: Work, item: Item) -> bool:
    return run_deploy(work, item, _copied(work, item["name"].rpartition(":")[0]))


_KINDS: Mapping[str, Callable[[Work, Item], bool]] = {
    "operation": _operation,
    "run": _run,
    "add": _add,
    "puppet": _puppet,
    "deploy": _deploy,
}


def _failure(work: Work, item: Item, error: PyinfraError | None) -> ActionError:
    failed = work.session.record.failed
    if failed is not None:
        return failed_command(work, failed)
    lost = work.session.record.running
    if lost:
        return failed_command(work, FailedCommand(lost, None, work.session.record.last_output()))
    return ActionError(f"{work.name}: {label_of(item)}: {error}")


def label_of(item: Item) -> str:
    """Return what an item is called in messages."""
    if item["kind"] in ("operation", "deploy"):
        return str(item["name"])
    if item["kind"] == "puppet":
        return f"puppet {item['resource']} {item['name']}"
    if item["kind"] == "add":
        return f"ADD {item['source']} {item['target']}"
    return f"RUN {str(item['command']).partition(chr(10))[0]}"


def _report(work: Work, item: Item, record: OperationRecord, seconds: float, *, changed: bool, skipped: bool) -> None:
    failed = record.failed
    happened = "failed" if failed else "skipped" if skipped else "changed" if changed else "unchanged"
    fields: dict[str, Any] = {
        "component": work.action.component,
        "action": work.action.action,
        "kind": item["kind"],
        "name": str(item.get("name", "")),
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
        happened = f"{happened}; something it left running still holds its output, which is no longer read"
    work.reporter.operation(f"{label_of(item)}: {happened}", **fields)


def _command(item: Item, record: OperationRecord) -> str:
    """An item that ran no command of its own is named as its module writes it."""
    return record.command or (label_of(item) if item["kind"] != "run" else str(item["command"]))
