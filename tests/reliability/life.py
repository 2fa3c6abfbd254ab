"""A service's life on local nodes, undisturbed or with a kill in each operation, and the invariants after each one."""

from __future__ import annotations

import os
import random
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import psutil

from dtk.events.fold import fold
from dtk.events.log_reader import read_log
from dtk.service.task_log import logged_tasks, read_task
from dtk.state.document import to_document
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from tests.reliability.forks import Ran
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
      say:
        parameters: {what: {type: string}}
        commands: ['RUN echo {{ what }} >> {{ node.home }}/ticks']
assemblies:
  pair:
    workflows:
      greet:
        parameters: {name: {type: string}}
        subtasks:
          - {name: 'greet {{name}}', actions: ['life::mark.say what={{name}}']}
    nodes:
      master: {components: [life::mark]}
      slaves: {attributes: {type: group, cardinality: 1}, components: [life::mark]}
"""
APPLY = ("apply", SERVICE, "--yes")
OPERATIONS: dict[str, tuple[str, ...]] = {
    "deploy": APPLY,
    "scale up": APPLY,
    "replace": ("replace", SERVICE, "slaves:2", "--yes"),
    "exec": ("exec", SERVICE, "master/life::mark.tick"),
    "workflow": ("exec", SERVICE, "greet", "name=world"),
    "stop": ("stop", SERVICE),
    "start": ("start", SERVICE),
    "scale down": APPLY,
    "destroy": ("delete-and-destroy", SERVICE, "--yes"),
}
CARDINALITY = {"scale up": "2", "scale down": "1"}
ASKING = ("apply", "replace", "delete-and-destroy")
"""Commands that ask for confirmation."""
ROLES = ("worker", "command")


@dataclass(frozen=True)
class Kill:
    """Where an operation is killed: in which process, and at which of its points (from 1) or after how many seconds."""

    operation: str
    role: str
    point: int
    seconds: float | None = None


@dataclass(frozen=True)
class Undisturbed:
    """Per operation: the state afterwards, how many lines its actions write, how many points its processes pass."""

    states: Mapping[str, Any]
    lines: Mapping[str, int]
    points: Mapping[tuple[str, str], int]


class Runner(Protocol):
    """Runs dtk in a workspace with the killer installed."""

    root: Path

    def run(self, words: Sequence[str], environment: Mapping[str, str], seconds: float | None = None) -> Ran:
        """Run one command; kill its processes after ``seconds`` unless None."""

    def is_idle(self) -> bool:
        """Return whether no worker runs."""


class Processes:
    """Runs dtk as people do: each command in a new process."""

    def __init__(self, dtk: Dtk, folder: Path) -> None:
        self.root, self._dtk, self._folder = dtk.root, dtk, folder
        folder.mkdir(exist_ok=True)
        shutil.copy(Path(__file__).with_name("killer.py"), folder / "sitecustomize.py")

    def run(self, words: Sequence[str], environment: Mapping[str, str], seconds: float | None = None) -> Ran:
        """Run one command."""
        assert seconds is None
        path = os.pathsep.join([str(self._folder), *filter(None, [os.environ.get("PYTHONPATH")])])
        done = self._dtk.run(*words, code=None, PYTHONPATH=path, **environment)
        return Ran(done.returncode, done.stdout + done.stderr)

    def is_idle(self) -> bool:
        """Return whether no worker runs."""
        return not any(_works_on(process, str(self.root)) for process in psutil.process_iter())


class Life:
    """A service in a workspace of its own."""

    module, operations = MODULE, OPERATIONS

    def __init__(self, runner: Runner, folder: Path) -> None:
        self.runner, self.folder = runner, folder
        self.workspace = Workspace(runner.root)
        self.kills = self.random_kills = self.reported = self.operations_done = 0
        folder.mkdir(exist_ok=True)

    def begin(self) -> None:
        """Create the workspace and stage the service."""
        self._dtk("init")
        module = self.runner.root / "modules/acme/life"
        module.mkdir(parents=True)
        (module / "dtk.module.yaml").write_text(self.module)
        self._dtk("stage", "acme:life/pair", SERVICE)

    def _dtk(self, *words: str) -> None:
        """Run a command that must succeed."""
        done = self.runner.run(words, {})
        assert done.code == 0, f"dtk {' '.join(words)}: {done.code}\n{done.output}"

    def undisturbed(self) -> Undisturbed:
        """Run the whole life without kills; return what other lives are compared with."""
        states, lines, points = {}, {}, {}
        for operation in self.operations:
            self._prepare(operation)
            before = self._lines()
            counts = self.folder / f"{operation}.points"
            self._run(operation, KILLER_COUNTS=str(counts))
            eventually(self.runner.is_idle, "the worker ends")
            states[operation] = self.state()
            lines[operation] = self._lines() - before
            for role in ROLES:
                points[operation, role] = int(Path(f"{counts}.{role}").read_text())
        return Undisturbed(states, lines, points)

    def disturbed(self, kills: Mapping[str, Kill], expected: Undisturbed) -> None:
        """Run the whole life with a kill in some operations, and follow the advice after each."""
        for operation in self.operations:
            kill = kills.get(operation, Kill(operation, "", 0))
            self._prepare(operation)
            before, lines = self._last_task(), self._lines()
            self._run(operation, kill.seconds, KILLER_ROLE=kill.role, KILLER_POINT=str(kill.point))
            eventually(self.runner.is_idle, "the worker ends")
            self._check_records(kill)
            in_doubt = self._follow_advice(operation, before, kill)
            eventually(self.runner.is_idle, "the worker ends")
            found = self.state()
            assert found == expected.states[operation], f"{kill}: {found} != {expected.states[operation]}"
            self._check_nothing_ran_twice(operation, self._lines() - lines, expected, in_doubt, kill)
            self.operations_done += 1

    def _check_nothing_ran_twice(
        self, operation: str, ran: int, expected: Undisturbed, in_doubt: tuple[str, ...], kill: Kill
    ) -> None:
        """Check that actions which may not run twice ran once, or that their step was reported as in doubt."""
        if operation in ("exec", "workflow"):
            once = expected.lines[operation]
            assert once <= ran <= once + len(in_doubt), f"{kill}: wrote {ran} lines, not {once}; in doubt: {in_doubt}"

    def _run(self, operation: str, seconds: float | None = None, **environment: str) -> None:
        shim = {"KILLER_ROOT": str(self.runner.root), **environment}
        done = self.runner.run(self.operations[operation], shim, seconds)
        is_worker = environment.get("KILLER_ROLE") == "worker"
        is_killed = done.code == -9 or (is_worker and done.code != 0)
        self.kills += is_killed and seconds is None
        self.random_kills += is_killed and seconds is not None
        assert "Traceback" not in done.output, done.output
        assert "a bug in dtk" not in done.output, done.output

    def _prepare(self, operation: str) -> None:
        if operation in CARDINALITY:
            self._dtk("set-attribute", SERVICE, "slaves/cardinality", CARDINALITY[operation])

    def _last_task(self) -> int:
        return max(logged_tasks(self.workspace, SERVICE), default=0)

    def _lines(self) -> int:
        """Count the lines written by actions that may not run twice."""
        found = load_state(self.workspace.state_file(SERVICE))
        homes = [str(node.attributes.get("home", "")) for node in found.nodes.values()] if found else []
        files = [Path(home) / "ticks" for home in homes if home]
        return sum(len(file.read_text().splitlines()) for file in files if file.exists())

    def _check_records(self, kill: Kill) -> None:
        """Check that documents parse, logs fold, no worker failed, and unfinished steps are reported as in doubt."""
        load_state(self.workspace.state_file(SERVICE))
        for number in logged_tasks(self.workspace, SERVICE):
            reading = read_log(self.workspace.event_log(SERVICE, number))
            assert [note for note in reading.notes if "torn" not in note] == [], kill
            task = fold(reading.events, writer_alive=False)
            started = {event["step"] for event in reading.events if event["type"] == "step.started"}
            ended = {event["step"] for event in reading.events if event["type"] == "step.finished"}
            assert started - ended <= set(task.in_doubt), kill
            said = self.workspace.task_folder(SERVICE, number) / "worker.log"
            text = said.read_text() if said.exists() else ""
            assert "Traceback" not in text, f"{kill}: {text}"

    def _follow_advice(self, operation: str, before: int, kill: Kill) -> tuple[str, ...]:
        """Follow the advice of the killed task; repeat the operation if it started no task.

        Returns:
            The task's steps in doubt.
        """
        in_doubt: tuple[str, ...] = ()
        if self._last_task() > before:
            task = read_task(self.workspace, SERVICE, self._last_task())
            in_doubt = task.in_doubt
            self.reported += bool(in_doubt)
            if task.status != "succeeded":
                assert task.next_command.startswith("dtk "), kill
                words = shlex.split(task.next_command)[1:]
                self._dtk(*words, *(["--yes"] if words[0] in ASKING else []))
        elif operation != "destroy" or self.workspace.service_file(SERVICE).exists():
            self._dtk(*self.operations[operation])
        eventually(self.runner.is_idle, "the worker ends")
        if operation == "destroy" and self.workspace.service_file(SERVICE).exists():
            # The kill was between the task's end and the removal of its leftovers: the same command continues.
            self._dtk(*self.operations[operation])
        return in_doubt

    def state(self) -> Any:
        """Return the state without what differs between two undisturbed lives: numbers, ids, addresses, times."""
        if not self.workspace.service_file(SERVICE).exists():
            # The logs are kept.
            return sorted({path.name for path in self.workspace.local.glob("services/**/*") if path.is_file()})
        found = load_state(self.workspace.state_file(SERVICE))
        assert found is not None
        document: dict[str, Any] = to_document(found)
        for key in ("serial", "lineage", "origin", "last_task", "created_at"):
            document.pop(key, None)
        document["nodes"] = {name: node["status"] for name, node in document["nodes"].items()}
        for components in document.get("applied", {}).values():
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
    """Return one kill for each operation; the same seed gives the same kills."""
    chance = random.Random(seed)
    for operation in OPERATIONS:
        # Three of four kills hit the worker, because it does the work.
        role = chance.choice(("worker", "worker", "worker", "command"))
        yield Kill(operation, role, chance.randint(1, expected.points[operation, role]))
