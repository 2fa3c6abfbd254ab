"""A task's connections on a Dask cluster, by the command line: a lost worker or scheduler, a partition, resumption."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Dtk
from tests.support.dask_cluster import Cluster
from tests.support.waiting import eventually

SERVICE = "pair1"
# Each node notes that its command ran, and waits until it may end.
MODULE = """\
dsl_version: 1.0.0
module: acme/pair
version: 1.0.0
components:
  member:
    actions:
      create:
        commands:
          - RUN echo ran >> FOLDER/{{ node.name }}; until [ -e FOLDER/{{ node.name }}.go ]; do sleep 0.1; done
assemblies:
  pair:
    nodes:
      members: {attributes: {type: group, cardinality: 2}, components: [pair::member]}
"""
# A silent worker is given up after 9 s instead of 45 s.
IMPATIENT = """
import sys
if any("dask" in word for word in sys.orig_argv):
    from dtk.ssh.shards.dask import relay
    relay.SILENCE_SECONDS, relay.WAIT_SECONDS = 6.0, 2.0
"""


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "impatient"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(IMPATIENT)
    made = Cluster(tmp_path / "dask", {"PYTHONPATH": str(folder)})
    try:
        made.add_workers("one", "two")
        yield made
    finally:
        made.close()


@pytest.fixture
def staged(cluster: Cluster, dtk: Dtk, outside: Path) -> Dtk:
    outside.chmod(0o777)
    folder = dtk.root / "modules/acme/pair"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE.replace("FOLDER", str(outside)))
    with (dtk.root / "dtk.yaml").open("a") as file:
        file.write(cluster.executor())
    dtk.run("stage", "acme:pair/pair", SERVICE)
    return dtk


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "cut off"])
def test_a_lost_worker_leaves_its_step_in_doubt_and_resume_completes_it(
    staged: Dtk, cluster: Cluster, outside: Path, how: signal.Signals
) -> None:
    first, second = outside / "members:1", outside / "members:2"
    path = cluster.environment["PYTHONPATH"]
    applying = staged.start("apply", SERVICE, "--yes", PYTHONPATH=path)
    eventually(lambda: first.exists() and second.exists(), "the command runs on both nodes")
    (address,) = (node["connection"] for node in staged.json("list-nodes", SERVICE) if node["node"] == "members:1")
    lost = cluster.holder_of(address["hostname"], address["port"])
    os.kill(lost.pid, how)
    (outside / "members:2.go").touch()
    said, _ = applying.communicate(timeout=120)
    assert applying.returncode == 1, said
    assert "ran on a Dask worker that was lost" in said
    assert f"dtk apply {SERVICE} --resume" in said
    end = staged.events(SERVICE, 1)[-1]
    steps = {event["node"]: event for event in staged.events(SERVICE, 1) if event["type"] == "step.finished"}
    assert (steps["members:1"]["status"], steps["members:2"]["status"]) == ("failed", "succeeded")
    assert end["in_doubt"] == [steps["members:1"]["step"]]
    (outside / "members:1.go").touch()
    again = staged.run("apply", SERVICE, "--resume", "--yes", PYTHONPATH=path)
    silent = f"warning: the Dask worker {cluster.address_of(lost)} does not answer"
    assert (silent in again.stderr) == (how is signal.SIGSTOP), again.stderr
    # Nothing is lost, and nothing that succeeded is repeated. What the lost worker still had to do has no effect.
    if how is signal.SIGSTOP:
        os.kill(lost.pid, signal.SIGCONT)
    eventually(lambda: not cluster.shards(), "all shards have ended")
    assert [file.read_text().split() for file in (first, second)] == [["ran", "ran"], ["ran"]]
    assert staged.json("task-status", SERVICE)["status"] == "succeeded"
    assert "Nothing to do" in staged.run("plan", SERVICE).stdout


def test_a_lost_scheduler_leaves_all_steps_in_doubt_and_another_cluster_completes_them(
    staged: Dtk, cluster: Cluster, outside: Path, tmp_path: Path
) -> None:
    first, second = outside / "members:1", outside / "members:2"
    applying = staged.start("apply", SERVICE, "--yes")
    eventually(lambda: first.exists() and second.exists(), "the command runs on both nodes")
    cluster.scheduler.kill()
    said, _ = applying.communicate(timeout=120)
    assert applying.returncode == 1, said
    assert len(staged.events(SERVICE, 1)[-1]["in_doubt"]) == 2
    refused = staged.run("apply", SERVICE, "--resume", "--yes", code=1)
    assert f"nothing was done: the Dask scheduler {cluster.address} can't be reached" in refused.stderr
    for node in ("members:1", "members:2"):
        (outside / f"{node}.go").touch()
    other = Cluster(tmp_path / "other")
    try:
        other.add_workers("three")
        text = (staged.root / "dtk.yaml").read_text()
        (staged.root / "dtk.yaml").write_text(text.replace(cluster.executor(), other.executor()))
        staged.run("apply", SERVICE, "--resume", "--yes")
        assert [file.read_text().split() for file in (first, second)] == [["ran", "ran"]] * 2
        assert "Nothing to do" in staged.run("plan", SERVICE).stdout
        (staged.root / "dtk.yaml").write_text(text.replace(cluster.executor(), ""))
    finally:
        other.close()
