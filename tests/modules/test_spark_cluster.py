"""bigtop:spark on real local nodes, HDFS and Spark from PyPI: one deployment, which each test takes on from the last.

The table is compared with the one that the project's founding document shows (35 rows, 37 with a data set).
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import Dtk, node_processes
from tests.software import installed_software, software_without_java

SERVICE = "spark-cluster1"
FIRST_DEPLOYMENT = """
assembly_converge
  1 create_nodes_stage
    1.1 create_node master
    1.2 create_node slaves:1
    1.3 create_node slaves:2
  2 bigtop_multiservice
    2.1 configure_node assembly_wide
  3 bigtop hiera
    3.1 configure_nodegroup slaves
      3.1.1 configure_node slaves:1
      3.1.2 configure_node slaves:2
    3.2 configure_node master
  4 bigtop_base
    4.1 configure_nodegroup slaves
      4.1.1 configure_node slaves:1
      4.1.2 configure_node slaves:2
    4.2 configure_node master
  5 namenode
    5.1 configure_node master
  6 if needed leave safemode
    6.1 action master
  7 namenode smoke test
    7.1 action master
  8 datanodes
    8.1 configure_nodegroup slaves
      8.1.1 configure_node slaves:1
      8.1.2 configure_node slaves:2
  9 hdfs directories for spark
    9.1 configure_node master
  10 spark master
    10.1 configure_node master
  11 spark workers
    11.1 configure_nodegroup slaves
      11.1.1 configure_node slaves:1
      11.1.2 configure_node slaves:2
"""
WITH_DATASET = f"""{FIRST_DEPLOYMENT.rstrip()}
  12 component gitarchive[mar01]
    12.1 configure_node master
"""


class Cluster:
    """The deployed service and the folder of the data set that it loads."""

    def __init__(self, root: Path, data: Path) -> None:
        self.dtk = Dtk(root)
        self.data = data

    def on_master(self, command: str) -> str:
        return self.dtk.run("ssh", SERVICE, "master", "--", command).stdout

    def table(self) -> str:
        """The last task's table: types and nodes, indented as it is, without times."""
        lines = self.dtk.run("task-status", SERVICE).stdout.splitlines()
        rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")][1:]
        return "".join(f"{row[0][1:].rstrip()} {row[2].strip()}".rstrip() + "\n" for row in rows)

    def last_task(self) -> int:
        tasks = self.dtk.root / ".dtk" / "services" / SERVICE / "tasks"
        return max(int(folder.name) for folder in tasks.iterdir() if folder.name.isdigit())

    def events(self, type_: str) -> list[dict[str, Any]]:
        return [event for event in self.dtk.events(SERVICE, self.last_task()) if event["type"] == type_]

    def add_data_set(self) -> None:
        self.dtk.run("add-component", SERVICE, "master/datasets:gitarchive[mar01]")
        unset = self.dtk.run("list-violations", SERVICE).stdout
        for name in ("month", "day"):
            assert f"Attribute (master/gitarchive[mar01]/{name}) is required, but unset" in unset
        for name, value in {"month": "03", "day": "01", "hours": "0-2", "source": f"file://{self.data}"}.items():
            self.dtk.run("set-attribute", SERVICE, f"master/gitarchive[mar01]/{name}", value)

    def scale(self, cardinality: int) -> str:
        self.dtk.run("set-attribute", SERVICE, "slaves/cardinality", str(cardinality))
        return self.dtk.run("apply", SERVICE, "--yes").stdout

    def datanodes(self) -> dict[str, str]:
        """How it stands with each datanode that the namenode has heard of lately, by its node's address."""
        report = self.on_master("bigtop/bin/hdfs dfsadmin -report -live").splitlines()
        names = [line.split()[1] for line in report if line.startswith("Hostname:")]
        states = [line.split(":")[1].strip() for line in report if line.startswith("Decommission Status")]
        return dict(zip(names, states, strict=True))

    def slaves(self) -> set[str]:
        return {address for node, address in self.dtk.addresses(SERVICE).items() if node != "master"}


@contextmanager
def staged(software: Path) -> Iterator[Cluster]:
    """Yield a service that is staged only; it is destroyed in the end."""
    # Not below pytest's own folder, which nobody may not enter.
    with tempfile.TemporaryDirectory(prefix="dtk-spark-") as folder:
        Path(folder).chmod(0o755)
        data = Path(folder) / "data"
        data.mkdir()
        for hour in range(3):
            (data / f"2015-03-01-{hour}.json.gz").write_bytes(gzip.compress(b'{"type": "PushEvent"}\n' * 1000))
        root = Path(folder) / "workspace"
        root.mkdir()
        made = Cluster(root, data)
        made.dtk.run("init")
        made.dtk.run(
            "stage", "bigtop:spark/cluster", SERVICE, "--set", f"bigtop_multiservice/software_directory={software}"
        )
        yield made
        if (root / "services" / SERVICE).exists():
            made.dtk.run("delete-and-destroy", SERVICE, "--yes", "--force", "--lock-wait", "60s")
        shutil.rmtree(root)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with staged(installed_software()) as made:
        yield made


@pytest.fixture(scope="module")
def cluster_without_java() -> Iterator[Cluster]:
    """One on a machine that seems to have no Java; Spark and HDFS are the other's, a download less."""
    with staged(software_without_java()) as made:
        yield made


def test_the_first_deployment_has_the_originals_eleven_stages_and_35_rows(cluster: Cluster) -> None:
    cluster.dtk.run("apply", SERVICE, "--yes")
    assert cluster.table() == FIRST_DEPLOYMENT.lstrip()
    assert "35 rows in set" in cluster.dtk.run("task-status", SERVICE).stdout
    assert cluster.datanodes() == dict.fromkeys(cluster.slaves(), "Normal")


def test_the_smoke_tests_pass_and_a_job_runs_on_both_workers(cluster: Cluster) -> None:
    shown = cluster.dtk.run("exec", SERVICE, "smoke_test").stdout
    assert "Safe mode is OFF" in shown
    assert "counted 12000 words in /tmp/spark-smoke-test with 2 workers" in shown


def test_a_second_converge_changes_nothing_and_says_so(cluster: Cluster) -> None:
    assert "Nothing had to be changed." in cluster.dtk.run("converge", SERVICE, "--yes").stdout
    done = cluster.events("operation.finished")
    # What an action such as the smoke test does is no change of the nodes' configuration.
    assert {event["message"] for event in done if event["changed"] and event["action"] == "create"} == set()
    assert len([event for event in done if event["action"] == "create"]) > 30
    assert "Nothing to do" in cluster.dtk.run("plan", SERVICE).stdout


def test_a_refresh_finds_the_cluster_as_it_was_left(cluster: Cluster) -> None:
    plan = cluster.dtk.run("plan", SERVICE, "--refresh", "--detailed-exitcode").stdout
    assert "Nothing to do" in plan
    assert "Drift" not in plan


def test_the_smoke_test_fails_in_safe_mode_with_the_namenodes_words_and_resumes_after_it(cluster: Cluster) -> None:
    assert "Safe mode is ON" in cluster.on_master("bigtop/bin/hdfs dfsadmin -safemode enter")
    failed = cluster.dtk.run("exec", SERVICE, "smoke_test", code=1)
    assert "Name node is in safe mode." in failed.stdout
    assert "Name node is in safe mode." in cluster.dtk.run("task-status", SERVICE).stdout
    cluster.on_master("bigtop/bin/hdfs dfsadmin -safemode leave")
    assert "with 2 workers" in cluster.dtk.run("apply", SERVICE, "--resume", "--yes").stdout


def test_a_data_set_gets_a_stage_of_its_own_behind_the_others(cluster: Cluster) -> None:
    cluster.add_data_set()
    cluster.dtk.run("converge", SERVICE, "--yes")
    # All nodes are there: the stage that made them is not among these, as in the original.
    assert stage_names(cluster.table()) == stage_names(WITH_DATASET)[1:]


def stage_names(table: str) -> list[str]:
    lines = [line[2:] for line in table.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    return [line.partition(" ")[2] for line in lines]


def test_the_data_set_is_loaded_once_and_the_second_load_says_what_to_do(cluster: Cluster) -> None:
    assert "Loaded 3 files" in cluster.dtk.run("exec", SERVICE, "load_gitarchive_dataset", "name=mar01").stdout
    listed = cluster.dtk.run("exec", SERVICE, "list_gitarchive_hdfs_files", "name=mar01").stdout
    assert "/user/local/spark/data/gitarchive/mar01/2015-03-01-2.json.gz" in listed
    again = cluster.dtk.run("exec", SERVICE, "load_gitarchive_dataset", "name=mar01", code=1).stdout
    assert "Clear action needed on dataset 'mar01'" in again


def test_a_job_reads_from_hdfs_what_the_workflow_put_there_until_it_is_cleared(cluster: Cluster) -> None:
    program = "import os; from pyspark import SparkContext; print(SparkContext().textFile(os.environ['mar01']).count())"
    (cluster.data / "count.py").write_text(program)
    assert cluster.on_master(f"bigtop/bin/spark submit {cluster.data}/count.py").strip() == "3000"
    cluster.dtk.run("exec", SERVICE, "clear_gitarchive_dataset", "name=mar01")
    cluster.dtk.run("exec", SERVICE, "list_gitarchive_hdfs_files", "name=mar01", code=1)


def test_four_slaves_and_two_again_keep_hdfs_healthy_and_the_data_whole(cluster: Cluster) -> None:
    cluster.scale(4)
    assert len(cluster.datanodes()) == 4
    cluster.on_master("head -c 5000000 /dev/urandom >tmp/data && md5sum <tmp/data >tmp/sum")
    cluster.on_master("mkdir tmp/put && for n in 1 2 3 4; do cp tmp/data tmp/put/$n; done")
    cluster.on_master("bigtop/bin/hdfs dfs -put tmp/put /data")

    shown = cluster.scale(2)
    assert "STAGE 1: decommission datanodes" in shown
    states = cluster.datanodes()
    assert {address for address, state in states.items() if state == "Normal"} == cluster.slaves()
    checked = cluster.on_master("bigtop/bin/hdfs fsck / 2>/dev/null")
    assert "The filesystem under path '/' is HEALTHY" in checked
    assert "Under-replicated blocks:\t0 " in checked
    sums = cluster.on_master("bigtop/bin/hdfs dfs -get /data tmp/got && for n in 1 2 3 4; do md5sum <tmp/got/$n; done")
    assert sums.splitlines() == cluster.on_master("cat tmp/sum").splitlines() * 4
    assert "with 2 workers" in cluster.dtk.run("exec", SERVICE, "smoke_test").stdout


def test_destroyed_it_leaves_nothing(cluster: Cluster) -> None:
    state = json.loads((cluster.dtk.root / ".dtk" / "services" / SERVICE / "state.json").read_text())
    cluster.dtk.run("delete-and-destroy", SERVICE, "--yes")
    assert node_processes(state["lineage"]) == []
    assert not Path(state["nodes"]["master"]["attributes"]["home"]).exists()
    assert not (cluster.dtk.root / ".dtk" / "services" / SERVICE).exists()


def test_a_first_deployment_with_the_data_set_has_the_originals_twelve_stages_and_37_rows(
    cluster_without_java: Cluster,
) -> None:
    cluster_without_java.add_data_set()
    cluster_without_java.dtk.run("apply", SERVICE, "--yes")
    assert cluster_without_java.table() == WITH_DATASET.lstrip()
    assert "37 rows in set" in cluster_without_java.dtk.run("task-status", SERVICE).stdout


def test_without_a_java_of_the_machine_all_daemons_run_on_pypis(cluster_without_java: Cluster) -> None:
    home = cluster_without_java.on_master("readlink -f bigtop/java").strip()
    assert home.startswith(f"{software_without_java()}/")
    lineage = json.loads((cluster_without_java.dtk.root / ".dtk/services" / SERVICE / "state.json").read_text())[
        "lineage"
    ]
    programs = [process.exe() for process in node_processes(lineage) if process.name() == "java"]
    assert len(programs) == 6
    assert set(programs) == {f"{home}/bin/java"}


def test_datanodes_restart_one_at_a_time_and_hdfs_stays_healthy(cluster_without_java: Cluster) -> None:
    cluster = cluster_without_java
    cluster.on_master("bigtop/bin/hdfs dfs -put bigtop/settings.json /kept")
    for member in ("slaves:1", "slaves:2"):
        shown = cluster.dtk.run("exec", SERVICE, f"{member}/hadoop::datanode.restart").stdout
        assert "datanode is up" in shown
    assert cluster.datanodes() == dict.fromkeys(cluster.slaves(), "Normal")
    assert "is HEALTHY" in cluster.on_master("bigtop/bin/hdfs fsck / 2>/dev/null")
    assert cluster.on_master("bigtop/bin/hdfs dfs -cat /kept") == cluster.on_master("cat bigtop/settings.json")
