"""Tests of the worker that starts before the command that needs it is loaded: one for a task, none without one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from dtk.state.lock import acquire
from dtk.state.workspace import Workspace
from tests.support.command_line import Dtk
from tests.support.preload import preload

WATCH = """
import json, pathlib, subprocess, sys
class Watched(subprocess.Popen):
    def __init__(self, words, *more, **named):
        super().__init__(words, *more, **named)
        if "dtk.apply.worker" in words:
            loaded = sum(name.split(".")[0] == "dtk" for name in sys.modules)
            with pathlib.Path(__file__).with_name("started").open("a") as file:
                file.write(json.dumps({"pid": self.pid, "loaded": loaded, "tasks": words[-2]}) + "\\n")
if "dtk.apply.worker" not in sys.orig_argv:
    subprocess.Popen = Watched
"""
MOST_MODULES = 30
"""Number of dtk's modules that are loaded when the worker starts: a whole command has about 200."""


@dataclass(frozen=True)
class Started:
    """A worker that a command started: its process ID, the modules loaded by then, the folder it was started for."""

    pid: int
    loaded: int
    tasks: str


@dataclass(frozen=True)
class Watch:
    """Tells which workers the commands start."""

    folder: Path

    def workers(self) -> list[Started]:
        """Return the workers that were started since the last call."""
        file = self.folder / "started"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [Started(**json.loads(line)) for line in lines]


@pytest.fixture
def watch(dtk: Dtk, module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watch:
    dtk.run("stage", "acme:ring/cluster", "r1")
    return Watch(preload(monkeypatch, tmp_path / "watch", WATCH))


def test_a_task_s_only_worker_starts_before_its_command_is_loaded(dtk: Dtk, watch: Watch) -> None:
    for number, verb in enumerate(("apply", "converge"), start=1):
        dtk.run(verb, "r1", "--yes")
        (started,) = watch.workers()
        (begun,) = [event for event in dtk.events("r1", number) if event["type"] == "task.started"]
        assert begun["pid"] == started.pid
        assert started.loaded < MOST_MODULES
        assert started.tasks == str(dtk.root / ".dtk/services/r1/tasks")


def test_no_worker_starts_where_there_may_be_nothing_to_do(dtk: Dtk, watch: Watch) -> None:
    dtk.run("apply", "r1", "--yes")
    assert watch.workers()
    for words in (("apply", "r1", "--yes"), ("apply", "--yes"), ("converge", "r1", "--help"), ("ls",)):
        dtk.run(*words)
        assert watch.workers() == []
    dtk.run("stage", "acme:ring/cluster", "r2")
    dtk.run("apply", "r2", code=2)  # it would ask
    assert watch.workers() == []


def test_with_a_store_the_worker_starts_when_the_service_is_held(dtk: Dtk, watch: Watch) -> None:
    with (dtk.root / "dtk.yaml").open("a") as file:
        file.write("store: {type: folder, path: ../store}\n")
    dtk.run("apply", "r1", "--yes")
    (started,) = watch.workers()
    assert started.loaded > MOST_MODULES


def test_the_service_is_found_as_the_command_finds_it(dtk: Dtk, watch: Watch, tmp_path: Path) -> None:
    dtk.run("apply", "r1", "--yes")
    watch.workers()
    elsewhere = Dtk(tmp_path)
    elsewhere.run("converge", "--yes", "--workspace", "workspace")
    (started,) = watch.workers()
    assert started.loaded < MOST_MODULES
    dtk.run("stage", "acme:ring/cluster", "r2")
    dtk.run("converge", "--yes", DTK_SERVICE="r1")
    (started,) = watch.workers()
    assert started.tasks == str(dtk.root / ".dtk/services/r1/tasks")
    dtk.run("converge", "--yes", code=2)  # which of the two?
    dtk.run("converge", "r3", code=2)
    assert watch.workers() == []
    # An option's value with the name of another service: the worker is not this task's, which gets its own.
    dtk.run("converge", "--junit", "r2", "r1", "--yes")
    wrong, right = watch.workers()
    assert [Path(one.tasks).parent.name for one in (wrong, right)] == ["r2", "r1"]
    assert not psutil.pid_exists(wrong.pid)


def test_a_refused_command_ends_its_worker(dtk: Dtk, watch: Watch) -> None:
    dtk.run("converge", "r1", "--no-such-option", code=2)
    (started,) = watch.workers()
    assert not psutil.pid_exists(started.pid)
    with acquire(Workspace(dtk.root).service_folder("r1"), "a test"):
        dtk.run("converge", "r1", code=4)
    (started,) = watch.workers()
    assert not psutil.pid_exists(started.pid)
    assert not (dtk.root / ".dtk/services/r1/tasks").exists()
