"""Workers killed while EC2 works for them: no instance is made twice or lost, and the advice leads to the end.

The short form kills when EC2 has begun what was asked, which is when the state knows least; the long one at points of
whole lives: ``RELIABILITY_FORM=long``.
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
    """A life whose nodes are instances, counted by EC2 after each operation."""

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
        # On the hosts' disks: logging in to each, twice for each operation, took most of a life's time.
        files = [host.root / "home/admin/ticks" for host in self.site.bed.hosts.values()]
        return sum(len(file.read_text().splitlines()) for file in files if file.exists())

    def _nodes(self) -> dict[str, Any]:
        found = load_state(self.workspace.state_file(SERVICE))
        return dict(found.nodes) if found else {}

    def state(self) -> Any:
        """The state as in other lives; its machines are those that EC2 has, and in the state that EC2 has them in."""
        known = {node.id: node.status for node in self._nodes().values()}
        assert {id_: one.state for id_, one in self.site.bed.instances().items()} == known
        return super().state()

    def killed_when(self, operation: str, begins: Callable[[], bool]) -> None:
        """Kill the worker of an operation once EC2 has begun with it, and do what the task's end says then."""
        api = self.site.bed.api
        api.seconds = 3600.0  # until its worker is killed
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
