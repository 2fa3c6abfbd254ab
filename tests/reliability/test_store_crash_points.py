"""Kills before or after any write to the shared store: another clone finishes the service, without manual repair.

The short form kills at four writes, the long form at each: ``tests/reliability/run --long store_crash_points``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.test_takeover import CLUSTER, MODULE
from tests.reliability.forms import long_form
from tests.support.command_line import Dtk
from tests.support.shared_clones import Team, found_team

# Every Python process of a command loads this. It kills the process that makes the chosen write.
_KILLER = '''
import os

if "DTK_STORE_CRASH" in os.environ:
    import fcntl
    import signal
    from pathlib import Path

    from dtk.store.folder_objects import FolderObjects

    moment, _, chosen = os.environ["DTK_STORE_CRASH"].partition(":")
    counter = Path(os.environ["DTK_STORE_CRASH_COUNTER"])

    def counted() -> int:
        """Return the number of this write among those of all processes."""
        with counter.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(b".")
            file.flush()
            return file.tell()

    def dying(write):
        def written(self, *arguments):
            is_chosen = counted() == int(chosen)
            if is_chosen and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            answer = write(self, *arguments)
            if is_chosen:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return written

    FolderObjects.put_new = dying(FolderObjects.put_new)
    FolderObjects.put_if = dying(FolderObjects.put_if)
'''
# store.json, two of the probe, the first holder's head, the plan, its start, three segments and states, the ends.
_WRITES = 22
_SHORT = {("after", 4), ("before", 7), ("after", 10), ("before", 14)}


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    team = found_team(tmp_path, MODULE)
    Dtk(team.origin).run("stage", CLUSTER, "app1")
    yield team
    team.clone("closer").run("delete-and-destroy", "app1", "--yes", "--force", "--lock-wait", "120s")


@pytest.mark.parametrize(
    ("moment", "write"),
    [
        pytest.param(moment, write, marks=() if (moment, write) in _SHORT else long_form)
        for write in range(1, _WRITES + 1)
        for moment in ("before", "after")
    ],
)
def test_killed_at_a_write_to_the_store_another_clone_goes_on(team: Team, moment: str, write: int) -> None:
    counter = team.folder / "writes"
    (team.folder / "killer").mkdir()
    (team.folder / "killer/sitecustomize.py").write_text(_KILLER)
    environment = {
        "PYTHONPATH": os.pathsep.join([str(team.folder / "killer"), os.environ.get("PYTHONPATH", "")]),
        "DTK_STORE_CRASH": f"{moment}:{write}",
        "DTK_STORE_CRASH_COUNTER": str(counter),
    }
    one, two = team.clone("one"), team.clone("two")
    one.run("apply", "app1", "--yes", code=None, **environment)
    assert counter.stat().st_size >= write, "a task makes fewer writes: lower _WRITES"
    two.run("apply", "app1", "--yes", "--lock-wait", "120s")
    assert "Nothing to do" in two.run("plan", "app1").stdout
    assert [row["node"] for row in two.json("list-nodes", "app1")] == ["master", "slaves:1", "slaves:2"]
    assert team.head("app1")["lease"] is None
    for log in (team.store / "services/app1/tasks").glob("*/events.jsonl"):
        events = [json.loads(line) for line in log.read_text().splitlines()]
        assert events[-1]["type"] == "task.finished", log
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), log
