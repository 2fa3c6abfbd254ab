"""bigtop:spark on local nodes, HDFS and Spark from PyPI: examples/spark, step by step, and other operations.

One test has the example's own deployment, and its steps build on each other. All other tests share one deployment,
which has PyPI's Java and the data set from the start, and leave it as they found it. The table is compared with the one
in the project's founding document (35 rows, 37 with a data set).
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import Dtk
from tests.support.processes import node_processes
from tests.support.software import software_folder, software_without_java

SERVICE = "spark1"
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "spark"
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
    """The service in its workspace."""

    def __init__(self, root: Path) -> None:
        self.dtk = Dtk(root)

    def on_master(self, command: str) -> str:
        return self.dtk.run("ssh", SERVICE, "master", "--", command).stdout

    def example(self, step: str) -> str:
        """Run a step of the example; return its output."""
        where = {"DTK_SPARK_WORKSPACE": str(self.dtk.root), "DTK_SPARK_SOFTWARE": str(software_folder())}
        command = [str(EXAMPLE), step]
        environment = {**os.environ, "COLUMNS": "200", **where}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=560, check=False)
        assert done.returncode == 0, f"{step}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def table(self, task: int) -> str:
        """Return a task's table: types and nodes with their indentation, without times."""
        lines = self.dtk.run("task-status", SERVICE, str(task)).stdout.splitlines()
        rows = [line.strip("|").split(" | ") for line in lines if line.startswith("| ")][1:]
        return "".join(f"{row[0][1:].rstrip()} {row[2].strip()}".rstrip() + "\n" for row in rows)

    def last_task(self) -> int:
        tasks = self.dtk.root / ".dtk" / "services" / SERVICE / "tasks"
        return max(int(folder.name) for folder in tasks.iterdir() if folder.name.isdigit())

    def events(self, type_: str) -> list[dict[str, Any]]:
        return [event for event in self.dtk.events(SERVICE, self.last_task()) if event["type"] == type_]

    def datanodes(self) -> dict[str, str]:
        """Return the decommission status of each datanode that the namenode considers live, by its node's address."""
        report = self.on_master("bigtop/bin/hdfs dfsadmin -report -live").splitlines()
        names = [line.split()[1] for line in report if line.startswith("Hostname:")]
        states = [line.split(":")[1].strip() for line in report if line.startswith("Decommission Status")]
        return dict(zip(names, states, strict=True))

    def slaves(self) -> set[str]:
        return {address for node, address in self.dtk.addresses(SERVICE).items() if node != "master"}


@contextmanager
def workspace() -> Iterator[Path]:
    """Yield a folder for a workspace; destroy what is deployed in it afterwards."""
    # Not below pytest's own folder, which the user nobody cannot enter.
    with tempfile.TemporaryDirectory(prefix="dtk-spark-") as folder:
        Path(folder).chmod(0o755)
        root = Path(folder) / "workspace"
        root.mkdir()
        yield root
        if (root / "services" / SERVICE).exists():
            Dtk(root).run("delete-and-destroy", SERVICE, "--yes", "--force", "--lock-wait", "60s")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Deploy a cluster with the data set from the start, on a machine that appears to have no Java."""
    with workspace() as root:
        made = Cluster(root)
        made.dtk.run("init")
        chosen = f"bigtop_multiservice/software_directory={software_without_java()}"
        made.dtk.run("stage", "bigtop:spark/cluster", SERVICE, "--set", chosen)
        made.dtk.run("add-component", SERVICE, "master/datasets:gitarchive[mar01]")
        unset = made.dtk.run("list-violations", SERVICE).stdout
        for name, value in {"month": "03", "day": "01"}.items():
            assert f"Attribute (master/gitarchive[mar01]/{name}) is required, but unset" in unset
            made.dtk.run("set-attribute", SERVICE, f"master/gitarchive[mar01]/{name}", value)
        made.dtk.run("apply", SERVICE, "--yes")
        yield made


def stage_names(table: str) -> list[str]:
    lines = [line[2:] for line in table.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    return [line.partition(" ")[2] for line in lines]


def the_examples_first_deployment_has_the_originals_eleven_stages_and_35_rows(cluster: Cluster) -> None:
    shown = cluster.example("--keep")
    assert cluster.table(1) == FIRST_DEPLOYMENT.lstrip()
    assert "35 rows in set" in shown
    assert cluster.datanodes() == dict.fromkeys(cluster.slaves(), "Normal")
    assert "Safe mode is OFF" in shown
    assert "counted 12000 words in /tmp/spark-smoke-test with 2 workers" in shown


def the_example_loads_a_data_set_once_and_a_job_reads_it_from_hdfs(cluster: Cluster) -> None:
    shown = cluster.example("--load")
    assert "Loaded 3 files" in shown
    assert "/user/local/spark/data/gitarchive/mar01/2015-03-01-2.json.gz" in shown
    assert "counted 12 events" in shown
    again = cluster.dtk.run("exec", SERVICE, "load_gitarchive_dataset", "name=mar01", code=1).stdout
    assert "Clear action needed on dataset 'mar01'" in again


def the_example_goes_to_four_slaves_and_back_with_hdfs_healthy_and_the_data_whole(cluster: Cluster) -> None:
    shown = cluster.example("--scale")
    assert shown.count("The filesystem under path '/' is HEALTHY") == 2
    assert shown.count("Under-replicated blocks:\t0 ") == 2
    assert "Number of data-nodes:\t\t4" in shown
    assert "STAGE 1: decommission datanodes" in shown
    assert "counted 12 events" in shown
    assert "with 2 workers" in shown
    states = cluster.datanodes()
    assert {address for address, state in states.items() if state == "Normal"} == cluster.slaves()


def the_history_server_is_added_in_a_stage_behind_the_others_and_knows_the_jobs(cluster: Cluster) -> None:
    cluster.dtk.run("add-component", SERVICE, "master/spark::history_server")
    cluster.dtk.run("converge", SERVICE, "--yes")
    # All nodes exist, so the stage that creates them is missing here, as in the original.
    behind = [*stage_names(WITH_DATASET)[1:], "component spark::history_server"]
    assert stage_names(cluster.table(cluster.last_task())) == behind
    shown = cluster.dtk.run("exec", SERVICE, "master/spark::history_server.smoke_test").stdout
    assert "jobs have ended, the last one: smoke test" in shown


def a_cleared_data_set_is_gone(cluster: Cluster) -> None:
    cluster.dtk.run("exec", SERVICE, "clear_gitarchive_dataset", "name=mar01")
    cluster.dtk.run("exec", SERVICE, "list_gitarchive_hdfs_files", "name=mar01", code=1)


def the_example_removed_leaves_nothing(cluster: Cluster) -> None:
    state = json.loads((cluster.dtk.root / ".dtk" / "services" / SERVICE / "state.json").read_text())
    cluster.example("--remove")
    assert node_processes(state["lineage"]) == []
    assert not Path(state["nodes"]["master"]["attributes"]["home"]).exists()
    assert not cluster.dtk.root.exists()


def test_the_example_lives_from_its_first_deployment_to_its_removal() -> None:
    """Run the steps in order; each continues from the previous one, and its name says what it checks."""
    with workspace() as root:
        cluster = Cluster(root)
        the_examples_first_deployment_has_the_originals_eleven_stages_and_35_rows(cluster)
        the_example_loads_a_data_set_once_and_a_job_reads_it_from_hdfs(cluster)
        the_example_goes_to_four_slaves_and_back_with_hdfs_healthy_and_the_data_whole(cluster)
        the_history_server_is_added_in_a_stage_behind_the_others_and_knows_the_jobs(cluster)
        a_cleared_data_set_is_gone(cluster)
        the_example_removed_leaves_nothing(cluster)


def test_a_first_deployment_with_the_data_set_has_the_originals_twelve_stages_and_37_rows(cluster: Cluster) -> None:
    assert cluster.table(1) == WITH_DATASET.lstrip()
    assert "37 rows in set" in cluster.dtk.run("task-status", SERVICE, "1").stdout


def test_without_a_java_of_the_machine_all_daemons_run_on_pypis(cluster: Cluster) -> None:
    home = cluster.on_master("readlink -f bigtop/java").strip()
    assert home.startswith(f"{software_without_java()}/")
    lineage = json.loads((cluster.dtk.root / ".dtk/services" / SERVICE / "state.json").read_text())["lineage"]
    programs = [process.exe() for process in node_processes(lineage) if process.name() == "java"]
    assert len(programs) == 6
    assert set(programs) == {f"{home}/bin/java"}


def test_datanodes_restart_one_at_a_time_and_hdfs_stays_healthy(cluster: Cluster) -> None:
    cluster.on_master("bigtop/bin/hdfs dfs -put bigtop/settings.json /kept")
    for member in ("slaves:1", "slaves:2"):
        shown = cluster.dtk.run("exec", SERVICE, f"{member}/hadoop::datanode.restart").stdout
        assert "datanode is up" in shown
    assert cluster.datanodes() == dict.fromkeys(cluster.slaves(), "Normal")
    assert "is HEALTHY" in cluster.on_master("bigtop/bin/hdfs fsck / 2>/dev/null")
    assert cluster.on_master("bigtop/bin/hdfs dfs -cat /kept") == cluster.on_master("cat bigtop/settings.json")


def test_a_second_converge_changes_nothing_and_says_so(cluster: Cluster) -> None:
    assert "Nothing had to be changed." in cluster.dtk.run("converge", SERVICE, "--yes").stdout
    done = cluster.events("operation.finished")
    # Changes by other actions, such as the smoke test, do not count: they are not the nodes' configuration.
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


def test_one_added_component_monitors_the_cluster(cluster: Cluster) -> None:
    cluster.dtk.run("add-component", SERVICE, "master/prometheus::server")
    assert "components 1 new" in cluster.dtk.run("plan", SERVICE).stdout
    cluster.dtk.run("apply", SERVICE, "--yes")
    shown = cluster.dtk.run("exec", SERVICE, "master/prometheus::server.smoke_test").stdout
    for node, job in (("master", "spark-master"), ("slaves:1", "spark-worker"), ("slaves:2", "spark-worker")):
        assert f'up{{instance="{node}", job="{job}", node="{node}"}} => 1' in shown
    alive = ("exec", SERVICE, "master/prometheus::server.query", "expression=metrics_master_aliveWorkers_Value")
    assert "=> 2 @" in cluster.dtk.run(*alive).stdout
    cluster.dtk.run("delete-component", SERVICE, "master/prometheus::server")
    cluster.dtk.run("apply", SERVICE, "--yes")


def test_the_master_and_the_workers_are_told_to_listen(cluster: Cluster) -> None:
    shown = cluster.dtk.run("exec", SERVICE, "master/spark::master.test_port_up").stdout
    assert f"port 7077 of {cluster.dtk.addresses(SERVICE)['master']} is up" in shown
    assert cluster.dtk.run("exec", SERVICE, "slaves/spark::common.test_port_up").stdout.count("is up") == 2


def test_what_a_datanode_unpacks_is_its_nodes_and_not_in_the_machines_common_folder(cluster: Cluster) -> None:
    home = next(
        node["attributes"]["home"] for node in cluster.dtk.json("list-nodes", SERVICE) if node["node"] == "slaves:1"
    )
    assert list(Path(home, "tmp").glob("Jetty_*"))
