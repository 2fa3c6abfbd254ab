"""Workers killed while EC2 works for them: no instance is created twice or lost, and the printed advice works.

The short form kills when EC2 has started the request, which is when the state knows least; the long form, set by
``RELIABILITY_FORM=long``, kills at points of whole lives (``RELIABILITY_LIVES``, 3 by default; -rP shows the figures).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dtk.service.task_log import logged_tasks, read_task
from dtk.state.lock import holder
from dtk.state.store import load_state
from tests.reliability.forms import long_form
from tests.reliability.life import ASKING, MODULE, SERVICE, Life, Processes, Undisturbed, chosen_kills
from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.site import Site, site_in

LIVES = int(os.environ.get("RELIABILITY_LIVES", "3"))


class CloudLife(Life):
    """A life whose nodes are instances; after each operation they are compared with those that EC2 has."""

    def __init__(self, site: Site, folder: Path) -> None:
        super().__init__(Processes(site.dtk, folder), folder)
        self.site = site

    def begin(self) -> None:
        """Stage the service."""
        module = self.runner.root / "modules/acme/life"
        module.mkdir(parents=True)
        (module / "dtk.module.yaml").write_text(MODULE)
        self._dtk("stage", "acme:life/pair", SERVICE)

    def _lines(self) -> int:
        # Read the hosts' disks directly: logging in to each host, twice for each operation, took most of a life's time.
        files = [host.root / "home/admin/ticks" for host in self.site.bed.hosts.values()]
        return sum(len(file.read_text().splitlines()) for file in files if file.exists())

    def _nodes(self) -> dict[str, Any]:
        found = load_state(self.workspace.state_file(SERVICE))
        return dict(found.nodes) if found else {}

    def state(self) -> Any:
        """Return the state as other lives do, after checking that EC2 has the same machines in the same states."""
        known = {node.id: node.status for node in self._nodes().values()}
        assert {id_: one.state for id_, one in self.site.bed.instances().items()} == known
        return super().state()

    def killed_when(self, operation: str, begins: Callable[[], bool]) -> None:
        """Kill the worker of an operation once EC2 has started it, and follow the advice at the task's end."""
        api = self.site.bed.api
        api.seconds = 3600.0  # EC2 takes longer than the worker lives
        running = self.site.dtk.start(*self.operations[operation])
        eventually(begins, f"EC2 begins to {operation}")
        found = holder(self.workspace.service_folder(SERVICE))
        assert found is not None
        assert found.task
        os.kill(found.pid, signal.SIGKILL)
        api.seconds = 1.0
        api._moving.clear()
        said, _ = running.communicate(timeout=300)
        assert running.returncode == 1, said
        assert "Traceback" not in said
        task = read_task(self.workspace, SERVICE, logged_tasks(self.workspace, SERVICE)[-1])
        assert task.in_doubt, said
        words = task.next_command.split()[1:]
        self._dtk(*words, *(["--yes"] if words[0] in ASKING else []))
        eventually(self.runner.is_idle, "the worker ends")


@pytest.fixture
def life(bed: Bed, tmp_path: Path) -> Iterator[CloudLife]:
    with site_in(tmp_path / "workspace", bed) as site:
        made = CloudLife(site, tmp_path / "killer")
        made.begin()
        yield made
        if made.workspace.service_file(SERVICE).exists():
            site.dtk.run("delete-and-destroy", SERVICE, "--yes", "--force", "--lock-wait", "60s", code=None)


def test_a_worker_killed_while_ec2_works_leaves_no_instance_twice_or_lost(life: CloudLife) -> None:
    site = life.site
    life.killed_when("deploy", lambda: len(site.bed.instances()) == 2)
    assert life.state()["nodes"] == {"master": "running", "slaves:1": "running"}
    life.killed_when("stop", lambda: {one.state for one in site.bed.instances().values()} == {"stopped"})
    assert life.state()["nodes"] == {"master": "stopped", "slaves:1": "stopped"}
    life.killed_when("destroy", lambda: not site.bed.instances())
    site.check_nothing_left()


@pytest.fixture(scope="module")
def expected(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    with site_in(folder / "workspace", bed) as site:
        life = CloudLife(site, folder / "killer")
        life.begin()
        return life.undisturbed()


@long_form
@pytest.mark.parametrize("seed", range(1, LIVES + 1))
def test_a_life_on_ec2_with_a_kill_in_each_operation_ends_as_an_undisturbed_one(
    life: CloudLife, expected: Undisturbed, seed: int
) -> None:
    life.disturbed({kill.operation: kill for kill in chosen_kills(seed, expected)}, expected)
    life.site.check_nothing_left()
    done = f"{life.kills} processes killed in {life.operations_done} operations, {life.reported} with steps in doubt"
    print(f"life {seed}: {done}")  # noqa: T201 - the figures
