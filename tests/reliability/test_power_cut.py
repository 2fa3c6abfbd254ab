"""Power cuts at every write: without the unsynced data, files still parse and are true, and the advice works.

Each operation of a service's life runs once, and its writes are recorded. Then a power cut is simulated after each
write in four forms: all unsynced data is lost; names have reached the disk but contents have not; the reverse; or some
of each. After some of the cuts the advice is followed; the long form does so after many more.
"""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from dtk.events.fold import fold
from dtk.events.log_reader import read_log
from dtk.service.task_log import logged_tasks, read_task
from dtk.state.document import to_document
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from tests.apply.server import SshServer
from tests.reliability.disk import FORMS, Call, Disk, Left, recorded, tree, write
from tests.reliability.forms import IS_LONG
from tests.support.command_line import Dtk

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="Linux only"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]

SERVICE = "life1"
FOLLOWED = int(os.environ.get("RELIABILITY_CUTS", "60" if IS_LONG else "1"))
"""The number of cuts of each operation after which the advice is followed."""
LED_ON = ("deploy", "exec", "scale up", "destroy") if IS_LONG else ("deploy", "exec")
MODULE = """
dsl_version: 1.0.0
module: acme/life
version: 1.0.0
components:
  mark:
    attributes:
      word: {type: string, default: made}
      said: {type: string, dynamic: true}
    actions:
      create:
        commands: ['RUN echo create {{ node.name }} $(date +%s.%N) >> {{ node.home }}/acts']
        outputs: {said: {command: 'echo {{ word }}'}}
      tick:
        commands: ['RUN echo tick {{ node.name }} $(date +%s.%N) >> {{ node.home }}/acts']
assemblies:
  pair:
    nodes:
      master: {components: [life::mark]}
      slaves: {attributes: {type: group, cardinality: 1}, components: [life::mark]}
"""
WORTHLESS = ("lock", "state.journal", "events.jsonl.reserve", "worker.log")
"""Files that may or may not exist after a power cut: lock holder, changes that the snapshot has, reserved space."""
APPLY = ("apply", SERVICE, "--yes")
OPERATIONS: dict[str, tuple[str, ...]] = {
    "stage": ("stage", "acme:life/pair", SERVICE),
    "edit": ("set-attribute", SERVICE, "master/life::mark/word", "made"),
    "deploy": APPLY,
    "exec": ("exec", SERVICE, "master/life::mark.tick"),
    "scale up": APPLY,
    "destroy": ("delete-and-destroy", SERVICE, "--yes"),
}
BEFORE = {"scale up": ("set-attribute", SERVICE, "slaves/cardinality", "2")}


@dataclass(frozen=True)
class Recording:
    """An operation: workspace and machines before it, what it wrote and ran, and the state afterwards."""

    before: Path
    homes: Path
    calls: tuple[Call, ...]
    acts: tuple[tuple[str, str, float], ...]
    state: Any


class Rack:
    """A workspace whose nodes are three machines of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dtk = Dtk(folder / "workspace")
        self.workspace = Workspace(self.dtk.root)
        self.homes = folder / "homes"
        key = asyncssh.generate_private_key("ssh-ed25519")
        self.servers = [SshServer(self.homes / str(number), key).start() for number in range(3)]
        key.write_private_key(folder / "key")
        (folder / "key").chmod(0o600)
        self.dtk.root.mkdir()
        self.dtk.run("init")
        hosts = {f"h{at}": {"address": one.host, "port": one.port} for at, one in enumerate(self.servers)}
        rack = {"type": "hosts", "user": "tester", "key": str(folder / "key"), "hosts": hosts}
        document = json.dumps({"format_version": 1, "default_target": "rack", "targets": {"rack": rack}})
        (self.dtk.root / "dtk.yaml").write_text(document)
        module = self.dtk.root / "modules/acme/life"
        module.mkdir(parents=True)
        (module / "dtk.module.yaml").write_text(MODULE)

    def record(self, operation: str) -> Recording:
        """Run an operation and return its recording."""
        if operation in BEFORE:
            self.dtk.run(*BEFORE[operation])
        before, homes = (self.folder / f"{operation} {name}" for name in ("before", "homes"))
        shutil.copytree(self.dtk.root, before)
        shutil.copytree(self.homes, homes)
        ran = len(self.acts())
        words = (sys.executable, "-m", "dtk", *OPERATIONS[operation])
        disk = Disk(self.dtk.root)
        code, calls = recorded(words, self.dtk.root, self.folder / "traces")
        assert code == 0
        for call in calls:
            disk.do(call)
        assert disk.left() == tree(self.dtk.root), "the record is not whole"
        return Recording(before, homes, tuple(calls), tuple(self.acts()[ran:]), self.state())

    def acts(self) -> list[tuple[str, str, float]]:
        """Return what ran on the machines: action, node, time."""
        lines = [line.split() for file in self.homes.glob("*/acts") for line in file.read_text().splitlines()]
        return sorted(((what, node, float(at)) for what, node, at in lines), key=lambda act: act[2])

    def restore(self, recording: Recording, workspace: Path) -> None:
        """Reset the machines to the start of an operation, and replace the workspace."""
        shutil.rmtree(self.homes)
        shutil.copytree(recording.homes, self.homes)
        shutil.rmtree(self.dtk.root)
        workspace.rename(self.dtk.root)

    def state(self) -> Any:
        """Return the state without what differs between two undisturbed lives."""
        found = load_state(self.workspace.state_file(SERVICE))
        if found is None:
            return None
        document = to_document(found)
        for key in ("serial", "last_task", "created_at", "origin"):
            document.pop(key, None)
        plain: Any = document
        for components in plain["applied"].values():
            for applied in components.values():
                applied.pop("task")
        return plain

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


@pytest.fixture(scope="module")
def rack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rack]:
    made = Rack(tmp_path_factory.mktemp("rack"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def recordings(rack: Rack) -> dict[str, Recording]:
    return {operation: rack.record(operation) for operation in OPERATIONS}


def in_flight(workspace: Workspace) -> set[str]:
    """Return the nodes on which a step has started, from the logs, which must be readable."""
    nodes = set()
    for number in logged_tasks(workspace, SERVICE):
        reading = read_log(workspace.event_log(SERVICE, number))
        assert [note for note in reading.notes if "torn" not in note] == []
        task = fold(reading.events, writer_alive=False)
        started = {event["step"]: event for event in reading.events if event["type"] == "step.started"}
        ended = {event["step"] for event in reading.events if event["type"] == "step.finished"}
        assert set(started) - ended <= set(task.in_doubt)
        nodes |= {str(event["node"]) for event in started.values()}
    return nodes


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_a_power_cut_leaves_can_be_read_after_each_write(
    recordings: dict[str, Recording], operation: str, tmp_path: Path
) -> None:
    recording, chance = recordings[operation], random.Random(1)
    disk = Disk(recording.before)
    seen: set[int] = set()
    cuts = 0
    for call in moved(recording):
        disk.do(call)
        for form in FORMS:
            cuts += 1
            left = disk.left(form, chance)
            what = hash(frozenset(left.items()))
            if what not in seen:
                seen.add(what)
                check_readable(left, tmp_path / str(cuts))
    assert cuts > 10
    note_figures(operation, calls=len(recording.calls), cuts=cuts, different=len(seen))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_what_a_command_has_done_is_on_disk_when_it_ends(recordings: dict[str, Recording], operation: str) -> None:
    recording = recordings[operation]
    disk = Disk(recording.before)
    for call in moved(recording):
        disk.do(call)
    there, safe = disk.left(), disk.left("nothing unsynced")
    unsafe = {path for path in {*there, *safe} if there.get(path, b"-") != safe.get(path, b"-")}
    assert {path for path in unsafe if Path(path).name not in WORTHLESS} == set()


def check_readable(left: Left, folder: Path) -> None:
    write(left, folder)
    workspace = Workspace(folder)
    load_state(workspace.state_file(SERVICE))
    in_flight(workspace)
    shutil.rmtree(folder)


def note_figures(operation: str, **figures: int) -> None:
    if file := os.environ.get("RELIABILITY_NOTES"):
        with Path(file).open("a") as notes:
            notes.write(json.dumps({"suite": "power_cut", "operation": operation, **figures}) + "\n")


def moved(recording: Recording) -> list[Call]:
    """Return the calls with their paths moved to the copy of the workspace that was made before them."""
    root = os.path.commonpath([path for call in recording.calls for path in call.paths])
    top = root[: root.index("/workspace") + len("/workspace")]
    return [
        replace(call, paths=tuple(os.fspath(recording.before) + path.removeprefix(top) for path in call.paths))
        for call in recording.calls
    ]


@pytest.mark.parametrize("operation", ["deploy", "exec", "scale up"])
def test_what_runs_on_a_node_is_on_disk_as_begun_before_it_runs(
    recordings: dict[str, Recording], operation: str, tmp_path: Path
) -> None:
    recording = recordings[operation]
    disk, calls = Disk(recording.before), moved(recording)
    assert recording.acts
    for number, (_, node, at) in enumerate(recording.acts):
        while calls and calls[0].ended < at:
            disk.do(calls.pop(0))
        left = tmp_path / str(number)
        write(disk.left("nothing unsynced"), left)
        assert node in in_flight(Workspace(left))


def cuts_of(operation: str, recording: Recording) -> list[tuple[int, str]]:
    """Draw the cuts after which the advice is followed; the same cuts each time."""
    chance = random.Random(operation)
    points = [at for at, call in enumerate(recording.calls) if not call.name.startswith("fsync")]
    return [(chance.choice(points), chance.choice(FORMS)) for _ in range(FOLLOWED)]


@pytest.mark.parametrize("number", range(FOLLOWED))
@pytest.mark.parametrize("operation", LED_ON)
def test_the_advice_after_a_power_cut_leads_to_the_undisturbed_end(
    rack: Rack, recordings: dict[str, Recording], operation: str, number: int, tmp_path: Path
) -> None:
    recording = recordings[operation]
    at, form = cuts_of(operation, recording)[number]
    disk, calls = Disk(recording.before), moved(recording)
    for call in calls[: at + 1]:
        disk.do(call)
    left = tmp_path / "left"
    write(disk.left(form, random.Random(number)), left)
    rack.restore(recording, left)
    # The machines lost no power, so what ran there before the cut has taken effect.
    for what, node, ran in recording.acts:
        if ran <= calls[at].ended:
            repeat(rack, recording, what, node, ran)
    before = len(rack.acts())
    in_doubt = follow_advice(rack, operation, recording)
    assert rack.state() == recording.state, f"after call {at} ({calls[at]}), {form}"
    if operation == "exec":
        ticks = [what for what, _, _ in rack.acts()].count("tick")
        assert ticks == 1 or (ticks == 2 and in_doubt), (before, rack.acts())


def repeat(rack: Rack, recording: Recording, what: str, node: str, at: float) -> None:
    """Record on a node's machine what ran there."""
    home = Path(str(recording.state["nodes"][node]["attributes"]["home"]))
    with (home / "acts").open("a") as acts:
        acts.write(f"{what} {node} {at}\n")


def follow_advice(rack: Rack, operation: str, recording: Recording) -> tuple[str, ...]:
    """Follow the advice of the interrupted task; repeat the operation if it started no task.

    Returns:
        The task's steps in doubt.
    """
    known = len(list((recording.before / f".dtk/services/{SERVICE}/tasks").glob("*")))
    numbers = logged_tasks(rack.workspace, SERVICE)
    task = read_task(rack.workspace, SERVICE, max(numbers)) if len(numbers) > known else None
    if task is not None and task.status != "succeeded":
        words = shlex.split(task.next_command)[1:]
        rack.dtk.run(*words, *(["--yes"] if words[0] in ("apply", "delete-and-destroy") else []))
    elif task is None and (operation != "destroy" or rack.workspace.service_file(SERVICE).exists()):
        rack.dtk.run(*OPERATIONS[operation])
    if operation == "destroy" and rack.workspace.service_file(SERVICE).exists():
        rack.dtk.run(*OPERATIONS[operation])
    return task.in_doubt if task is not None else ()
