"""A service's life on local nodes, undisturbed or with a kill in each operation, and what must hold after each."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from dtk.events.fold import fold
from dtk.events.log_reader import read_log
from dtk.service.task_log import logged_tasks, read_task
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from tests.support.command_line import Dtk
from tests.support.waiting import eventually

SERVICE = "life1"
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
        commands: ['RUN echo {{ word }} >> {{ node.home }}/made']
        outputs: {said: {command: 'echo {{ word }}'}}
      tick:
        commands: ['RUN echo tick >> {{ node.home }}/ticks']
assemblies:
  pair:
    nodes:
      master: {components: [life::mark]}
      slaves: {attributes: {type: group, cardinality: 1}, components: [life::mark]}
"""
APPLY = ("apply", SERVICE, "--yes")
OPERATIONS: dict[str, tuple[str, ...]] = {
    "deploy": APPLY,
    "scale up": APPLY,
    "exec": ("exec", SERVICE, "master/life::mark.tick"),
    "stop": ("stop", SERVICE),
    "start": ("start", SERVICE),
    "scale down": APPLY,
    "destroy": ("delete-and-destroy", SERVICE, "--yes"),
}
CARDINALITY = {"scale up": "2", "scale down": "1"}
ROLES = ("worker", "command")


@dataclass(frozen=True)
class Kill:
    """Where an operation is killed: in which process, at which of its points (from 1)."""

    operation: str
    role: str
    point: int


@dataclass(frozen=True)
class Undisturbed:
    """How each operation leaves the state, and how many points its processes pass."""

    states: Mapping[str, Any]
    points: Mapping[tuple[str, str], int]


class Life:
    """A service in a workspace of its own."""

    def __init__(self, dtk: Dtk, folder: Path) -> None:
        self.dtk, self.folder = dtk, folder
        self.workspace = Workspace(dtk.root)
        self.kills = self.reported = 0
        module = dtk.root / "modules/acme/life"
        module.mkdir(parents=True)
        (module / "dtk.module.yaml").write_text(MODULE)
        folder.mkdir(exist_ok=True)
        shutil.copy(Path(__file__).with_name("killer.py"), folder / "sitecustomize.py")
        dtk.run("stage", "acme:life/pair", SERVICE)

    def undisturbed(self) -> Undisturbed:
        """Live the whole life; return what others are compared with."""
        states, points = {}, {}
        for operation in OPERATIONS:
            self._prepare(operation)
            counts = self.folder / f"{operation}.points"
            self._run(operation, KILLER_COUNTS=str(counts))
            eventually(self._worker_is_gone, "the worker ends")
            states[operation] = self.state()
            for role in ROLES:
                points[operation, role] = int(Path(f"{counts}.{role}").read_text())
        return Undisturbed(states, points)

    def disturbed(self, kills: Mapping[str, Kill], expected: Undisturbed) -> None:
        """Live the whole life with a kill in each operation, following the advice after each."""
        for operation, kill in kills.items():
            self._prepare(operation)
            before = self._last_task()
            lines = self._ticks()
            self._run(operation, code=None, KILLER_ROLE=kill.role, KILLER_POINT=str(kill.point))
            eventually(self._worker_is_gone, "the worker ends")
            self._check_records(kill)
            in_doubt = self._follow_advice(operation, before, kill)
            found = self.state()
            assert found == expected.states[operation], f"{kill}: {found} != {expected.states[operation]}"
            if operation == "exec":
                ran = self._ticks() - lines
                assert ran == 1 or (ran == 2 and in_doubt), f"{kill}: ran {ran} times, in doubt: {in_doubt}"

    def _run(self, operation: str, code: int | None = 0, **environment: str) -> None:
        path = os.pathsep.join([str(self.folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        shim = {"PYTHONPATH": path, "KILLER_ROOT": str(self.dtk.root), **environment}
        done = self.dtk.run(*OPERATIONS[operation], code=code, **shim)
        is_worker = environment.get("KILLER_ROLE") == "worker"
        self.kills += done.returncode == -9 or (is_worker and done.returncode != 0)
        assert "Traceback" not in done.stderr, done.stderr
        assert "a bug in dtk" not in done.stderr, done.stderr

    def _prepare(self, operation: str) -> None:
        if operation in CARDINALITY:
            self.dtk.run("set-attribute", SERVICE, "slaves/cardinality", CARDINALITY[operation])

    def _worker_is_gone(self) -> bool:
        return not any(_works_on(process, str(self.dtk.root)) for process in psutil.process_iter())

    def _last_task(self) -> int:
        return max(logged_tasks(self.workspace, SERVICE), default=0)

    def _ticks(self) -> int:
        found = load_state(self.workspace.state_file(SERVICE))
        homes = [str(node.attributes.get("home", "")) for node in found.nodes.values()] if found else []
        files = [Path(home) / "ticks" for home in homes if home]
        return sum(len(file.read_text().splitlines()) for file in files if file.exists())

    def _check_records(self, kill: Kill) -> None:
        """Whatever was killed: documents parse, logs fold, and what was in flight is named."""
        load_state(self.workspace.state_file(SERVICE))
        for number in logged_tasks(self.workspace, SERVICE):
            reading = read_log(self.workspace.event_log(SERVICE, number))
            assert [note for note in reading.notes if "torn" not in note] == [], kill
            task = fold(reading.events, writer_alive=False)
            started = {event["step"] for event in reading.events if event["type"] == "step.started"}
            ended = {event["step"] for event in reading.events if event["type"] == "step.finished"}
            assert started - ended <= set(task.in_doubt), kill

    def _follow_advice(self, operation: str, before: int, kill: Kill) -> tuple[str, ...]:
        """Do what the killed task's end says; the operation itself where nothing of it is on record."""
        in_doubt: tuple[str, ...] = ()
        if self._last_task() > before:
            task = read_task(self.workspace, SERVICE, self._last_task())
            in_doubt = task.in_doubt
            self.reported += bool(in_doubt)
            if task.status != "succeeded":
                assert task.next_command.startswith("dtk "), kill
                words = shlex.split(task.next_command)[1:]
                self.dtk.run(*words, *(["--yes"] if words[0] in ("apply", "delete-and-destroy") else []))
        elif operation != "destroy" or self.workspace.service_file(SERVICE).exists():
            self.dtk.run(*OPERATIONS[operation])
        if operation == "destroy" and self.workspace.service_file(SERVICE).exists():
            # Killed between the task's end and the removal of what it has left: the same command goes on.
            self.dtk.run(*OPERATIONS[operation])
        eventually(self._worker_is_gone, "the worker ends")
        return in_doubt

    def state(self) -> Any:
        """The state without what differs between two undisturbed lives: numbers, ids, addresses, times."""
        services = self.workspace.local / "services"
        if not self.workspace.service_file(SERVICE).exists():
            return sorted(path.name for path in services.iterdir() if not path.name.endswith(".removed"))
        document = json.loads(self.workspace.state_file(SERVICE).read_text())
        for key in ("serial", "lineage", "last_task", "created_at"):
            document.pop(key, None)
        document["nodes"] = {name: node["status"] for name, node in document["nodes"].items()}
        for components in document["applied"].values():
            for applied in components.values():
                applied.pop("task")
        return document


def _works_on(process: psutil.Process, root: str) -> bool:
    try:
        words = " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return False
    return "dtk.apply.worker" in words and root in words


def chosen_kills(seed: int, expected: Undisturbed) -> Iterator[Kill]:
    """Return one kill for each operation; the same for the same seed."""
    chance = random.Random(seed)
    for operation in OPERATIONS:
        # Three of four in the worker: it does the work.
        role = chance.choice(("worker", "worker", "worker", "command"))
        yield Kill(operation, role, chance.randint(1, expected.points[operation, role]))
