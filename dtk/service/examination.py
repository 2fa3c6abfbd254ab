"""Examines every part of a service and reports its condition; changes nothing and takes no lock."""

from __future__ import annotations

import re
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dtk.apply.reporting.redaction import Redactor
from dtk.disk.files import PRIVATE_FILE, version_of
from dtk.errors import DtkError, InvalidError
from dtk.events.log_reader import read_log
from dtk.model.value import Known
from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.records import record_of
from dtk.nodes.targets import provider_for
from dtk.plan.compile import resolve_for_plan
from dtk.refresh.ask_machines import asking
from dtk.refresh.node_drift import look
from dtk.service.planning import read_inputs
from dtk.service.service_status import service_status
from dtk.service.task_log import last_task
from dtk.state.lock import holder
from dtk.state.store import KEPT_VERSIONS, load_state
from dtk.state.workspace import Workspace

Verdict = Literal["ok", "note", "wrong"]
LEAST_FREE_BYTES = 100_000_000
"""Least free disk space in bytes: a task of a few hundred nodes writes less; with less space it may fail halfway."""
_MOST_LOGS = 20
"""Maximum number of logs to read, newest first: each may hold a million events."""
_ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){3,7}\b")


@dataclass(frozen=True)
class Examined:
    """The condition of one part of a service; ``next`` is the command or edit that helps, "" if none is needed."""

    part: str
    verdict: Verdict
    text: str
    next: str = ""


def examine(workspace: Workspace, service: str) -> list[Examined]:
    """Return the condition of each part of a service; a part that can't be read is reported as wrong, not raised."""
    parts: dict[str, Callable[[Workspace, str], Iterator[Examined]]] = {
        "service": _service,
        "state": _state,
        "lock": _lock,
        "tasks": _tasks,
        "files": _files,
        "disk": _disk,
        "nodes": _nodes,
    }
    found: list[Examined] = []
    for name, look_at in parts.items():
        try:
            found += look_at(workspace, service)
        except InvalidError as error:
            first = f": {error.problems[0]}" if error.problems else ""
            found.append(Examined(name, "wrong", f"{error.message}{first}", error.hint or "dtk validate"))
        except DtkError as error:
            found.append(Examined(name, "wrong", error.message, error.hint))
        except OSError as error:
            found.append(Examined(name, "wrong", f"{error.filename or workspace.root}: {error.strerror}"))
    return found


def _service(workspace: Workspace, service: str) -> Iterator[Examined]:
    inputs = read_inputs(workspace, service)
    modules = ", ".join(f"{name} {module.version}".strip() for name, module in inputs.modules.items())
    yield Examined("service", "ok", f"{inputs.service.assembly} on target {inputs.target.name}; modules: {modules}")
    for problem in resolve_for_plan(inputs.request()).problems:
        yield Examined("service", "wrong", problem.description, problem.fix or f"dtk list-violations {service}")


def _state(workspace: Workspace, service: str) -> Iterator[Examined]:
    file = workspace.state_file(service)
    yield from (_backup(version_of(file, number)) for number in range(1, KEPT_VERSIONS + 1) if _is_kept(file, number))
    state = load_state(file)
    if state is None:
        yield Examined("state", "note", "no state: nothing was applied from this folder")
        return
    nodes = f"{len(state.nodes)} node{'' if len(state.nodes) == 1 else 's'}, {service_status(state)}"
    yield Examined("state", "ok", f"serial {state.serial}, {nodes}, last task {state.last_task}")
    if state.unfinished:
        resume = f"dtk apply {service} --resume"
        yield Examined("state", "note", f"task {state.unfinished.task} is not finished", resume)
    for node, steps in state.in_doubt.items():
        text = f"steps may still be running on {node}: {', '.join(steps)}"
        yield Examined("state", "note", text, "the next task on this node ends them")


def _is_kept(file: Path, number: int) -> bool:
    return version_of(file, number).exists()


def _backup(file: Path) -> Examined:
    try:
        kept = load_state(file)
    except (DtkError, OSError) as error:
        return Examined("state", "note", f"the kept version {file.name} can't be read: {error}")
    return Examined("state", "ok", f"the kept version {file.name} has serial {kept.serial if kept else 0}")


def _lock(workspace: Workspace, service: str) -> Iterator[Examined]:
    found = holder(workspace.service_folder(service))
    if found is None:
        yield Examined("lock", "ok", "not locked")
        return
    text = f"locked by '{found.command}' (process {found.pid}) for {found.age()}"
    yield Examined("lock", "note", text, f"dtk task-status {service}" if found.task else "")


def _tasks(workspace: Workspace, service: str) -> Iterator[Examined]:
    numbers = workspace.task_numbers(service)
    for number in numbers[-_MOST_LOGS:]:
        log = workspace.event_log(service, number)
        if not log.exists():
            yield Examined("tasks", "note", f"task {number} has no log: it was stopped before its first event")
            continue
        notes = read_log(log).notes
        if notes:
            yield Examined("tasks", "note", f"the log of task {number}: {'; '.join(notes[:3])}")
    last = last_task(workspace, service)
    if last is None:
        yield Examined("tasks", "ok", "no task yet")
    elif last.status in ("failed", "cancelled"):
        error = f": {last.errors[-1].message}" if last.errors else ""
        yield Examined("tasks", "note", f"task {numbers[-1]} {last.status}{error}", last.next_command)
    else:
        yield Examined("tasks", "ok", f"task {numbers[-1]}, {last.title}, {last.status}")


def _files(workspace: Workspace, service: str) -> Iterator[Examined]:
    folder = workspace.service_folder(service)
    nodes = folder / "nodes"  # the disks of local nodes
    own = [path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(nodes)]
    open_to_others = [path for path in own if stat.S_IMODE(path.stat().st_mode) & ~PRIVATE_FILE & 0o077]
    for path in open_to_others:
        name = path.relative_to(workspace.root)
        yield Examined("files", "wrong", f"{name} can be read by others", f"chmod 600 {name}")
    if not open_to_others:
        yield Examined("files", "ok", f"{len(own)} private files, readable by this user only")


def _disk(workspace: Workspace, _service: str) -> Iterator[Examined]:
    free = shutil.disk_usage(workspace.root).free
    text = f"{free // 1_000_000} MB free"
    yield (
        Examined("disk", "ok", text) if free >= LEAST_FREE_BYTES else Examined("disk", "wrong", text, "free disk space")
    )


def _nodes(workspace: Workspace, service: str) -> Iterator[Examined]:
    inputs = read_inputs(workspace, service)
    state, folder = inputs.state, workspace.service_folder(service)
    if not state.nodes:
        yield Examined("nodes", "ok", "no nodes")
        return
    provider = provider_for(inputs.target, workspace)
    identity = ServiceIdentity(service, state.lineage, folder, workspace=inputs.workspace_id)
    found, drift = look(provider, identity, state)
    for one in drift:
        yield Examined("nodes", "wrong", f"{one.node}: {one.what}", f"dtk plan {service} --refresh")
    records = [record_of(name, node) for name, node in found.nodes.items() if node.status == "running"]
    if refusal := provider.ssh_refusal(identity, records):
        yield Examined("nodes", "wrong", refusal, "dtk ssh, or the next task on the nodes, updates the rule")
        return
    connections = {record.node: provider.connection_to(record) for record in records}
    answers = asking(workspace.known_hosts(service))(connections, "echo here")
    for node, answer in answers.items():
        if isinstance(answer, DtkError):
            yield Examined("nodes", "wrong", f"{node}: {answer.message}", answer.hint)
    reached = sum(not isinstance(answer, DtkError) for answer in answers.values())
    yield Examined("nodes", "ok", f"{reached} of {len(connections)} running nodes can be reached over SSH")


def redacted(workspace: Workspace, service: str, found: list[Examined]) -> list[Examined]:
    """Return the findings without private data: hidden values, IP addresses and this user's folders."""
    redactor = Redactor()
    try:
        state = load_state(workspace.state_file(service))
    except (DtkError, OSError):
        state = None
    for components in state.applied.values() if state else ():
        for applied in components.values():
            for name in applied.hidden:
                value = applied.attributes.get(name)
                redactor.add_hidden(value.data if isinstance(value, Known) else None)

    def clean(text: str) -> str:
        text = redactor.text(text).replace(str(workspace.root), "WORKSPACE").replace(str(Path.home()), "~")
        return _ADDRESS.sub("(address)", text)

    return [replace(one, text=clean(one.text), next=clean(one.next)) for one in found]
