"""The original's getting-started scenarios, command by command, as dtk commands and inside dtk shell.

The modules in ``spark/`` stand in for bigtop:spark: they have the original's components, attributes, stages and
actions,
without Spark. Screens are those of the original (its row counts are asserted), recorded in ``screens/``.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.screens import same_screen
from tests.support.command_line import Dtk
from tests.support.waiting import eventually

MODULES = Path(__file__).parent / "spark"
SERVICE = "spark-cluster1"


@dataclass(frozen=True)
class Way:
    """One of the two ways to run a command: as ``dtk …``, or as a line of the shell."""

    dtk: Dtk
    shell: bool

    def __call__(self, place: str, line: str, command: str, code: int = 0, **environment: str) -> str:
        """Run ``line`` at a location of the shell, or ``dtk command``; return the output."""
        words = ["shell", "-c", f"cd {place}; {line}"] if self.shell else shlex.split(command)
        done = self.dtk.run(*words, code=code, **environment)
        return done.stdout + done.stderr

    def service(self, line: str, command: str = "", code: int = 0, **environment: str) -> str:
        """Run a line at the service's location; as a command, the service's name follows the first word."""
        name, _, rest = line.partition(" ")
        return self(f"/service/{SERVICE}", line, command or f"{name} {SERVICE} {rest}", code, **environment)


@pytest.fixture(params=["command", "shell"])
def way(request: pytest.FixtureRequest, dtk: Dtk) -> Way:
    shutil.copytree(MODULES, dtk.root / "modules", dirs_exist_ok=True)
    return Way(dtk, request.param == "shell")


def deploy(way: Way) -> str:
    return way(
        "/service-module/bigtop:spark/assembly/cluster", f"deploy {SERVICE}", f"deploy bigtop:spark/cluster {SERVICE}"
    )


def test_5_1_modules_are_listed_by_kind(way: Way) -> None:
    shown = way("/service-module", "ls", "list-modules")
    assert "| bigtop:spark " in shown
    assert "| bigtop:hadoop " in way("/component-module", "ls", "list-modules")
    assert "gitarchive" in way("/component-module/datasets:gitarchive", "ls", "list-components datasets:gitarchive")


def test_5_2_a_service_is_deployed_and_watched(way: Way) -> None:
    same_screen(
        "5.2-list-assemblies", way("/service-module/bigtop:spark", "list-assemblies", "list-assemblies bigtop:spark")
    )
    deploy(way)
    way(
        "/service-module/bigtop:spark/assembly/cluster",
        "stage spark-cluster2",
        "stage bigtop:spark/cluster spark-cluster2",
    )
    same_screen("5.2-ls", way("/service", "ls", "ls"))
    status = way.service("task-status")
    assert status.endswith("35 rows in set\n")
    same_screen("5.2-task-status", status)
    same_screen("5.2-stream", way.service("task-status -m stream"))
    assert "35 rows in set" in way.service("task-status --wait")


def test_5_3_a_running_task_is_cancelled(way: Way) -> None:
    slow = "--set master/bigtop_base/with_maven=true --detach"
    way(
        "/service-module/bigtop:spark/assembly/cluster",
        f"deploy {SERVICE} {slow}",
        f"deploy bigtop:spark/cluster {SERVICE} {slow}",
    )
    eventually(
        lambda: "4.2 configure_node         | executing" in way.dtk.run("task-status", SERVICE).stdout, "base runs"
    )
    assert f"next: wait for it with --lock-wait 5m, or end it: dtk cancel-task {SERVICE}" in way.service(
        "converge", code=4
    )
    assert "is being cancelled" in way.service("cancel-task")
    eventually(lambda: way.dtk.json("task-status", SERVICE)["status"] == "cancelled", "the task ends")
    same_screen("5.3-task-status", way.service("task-status"))
    assert "No running tasks found" in way.service("cancel-task", code=2)


def test_5_4_and_5_5_nodes_and_components_are_examined(way: Way) -> None:
    deploy(way)
    same_screen("5.4-list-nodes", way.service("list-nodes"))
    same_screen("5.4-list-components", way.service("list-components"))
    node = way.service("master info", f"info {SERVICE} master")
    assert node.startswith("---\nnode_id: master\n")
    assert "\nadmin_op_status: running\n" in node
    assert "\n- spark::master\n" in node
    for name in ("list-links", "list-actions", "info", "workflow-info create"):
        same_screen(f"5.4-{name.partition(' ')[0]}", way.service(name))


def test_5_6_a_dataset_component_is_added_and_its_required_attributes_filled_in(way: Way) -> None:
    deploy(way)
    added = way(
        f"/service/{SERVICE}/master",
        "add-component datasets:gitarchive[mar01]; cd ../",
        f"add-component {SERVICE} master/datasets:gitarchive[mar01]",
    )
    assert added.startswith("component_id: 3802291975\n")
    same_screen("5.6-list-violations", way.service("list-violations"))
    blocked = way.service("converge", code=3)
    for what in ("month", "day"):
        assert f"Attribute (master/gitarchive[mar01]/{what}) is required, but unset" in blocked
        assert f"dtk set-attribute {SERVICE} master/gitarchive[mar01]/{what} VALUE" in blocked
    way.service("set-attribute master/gitarchive[mar01]/month 03")
    way.service(
        "master set-attribute gitarchive[mar01]/day 01", f"set-attribute {SERVICE} master/gitarchive[mar01]/day 01"
    )
    assert way.service("list-violations") == "Message: List is empty.\n"
    attributes = way.service("list-attributes")
    assert attributes.endswith("37 rows in set\n")
    same_screen("5.6-list-attributes", attributes)
    same_screen("5.6-list-attributes-yaml", way.service("list-attributes -f yaml"))
    same_screen("5.6-list-attributes-links", way.service("list-attributes --links"))
    dependencies = way.service("list-components --deps")
    assert dependencies.endswith("19 rows in set\n")
    same_screen("5.6-list-components-deps", dependencies)
    same_screen("5.6-list-workflows", way.service("list-workflows"))
    screen, recap, _ = way.service("exec load_gitarchive_dataset name=mar01").partition("1 of 1 node changed, 3 op")
    assert recap, "what was done stands behind the original's screen"
    same_screen("5.6-load", screen)
    assert "2015-03-01-23.json" in way.service("exec list_gitarchive_hdfs_files name=mar01")
    again = way.service("exec load_gitarchive_dataset name=mar01", code=1)
    assert "Clear action needed on dataset 'mar01'" in again
    assert "RETURN CODE: 1" in again
    assert "Status: FAILED" in again
    way.service("exec clear_gitarchive_dataset name=mar01")


def test_5_7_a_group_is_scaled_up_and_down(way: Way) -> None:
    deploy(way)
    way.service("set-attribute slaves/cardinality 4")
    way.service("converge")
    same_screen("5.7-task-status", way.service("task-status"))
    same_screen("5.7-list-nodes", way.service("list-nodes"))
    way.service("set-attribute slaves/cardinality 2")
    way.service("converge --yes")
    same_screen("5.4-list-nodes", way.service("list-nodes"))


def test_5_9_a_staged_service_is_customised_in_an_editor_before_it_is_converged(way: Way, tmp_path: Path) -> None:
    place = "/service-module/bigtop:spark/assembly/cluster"
    way(place, f"stage {SERVICE}", f"stage bigtop:spark/cluster {SERVICE}")
    same_screen("5.9-ls", way("/service", "ls", "ls"))
    editor = tmp_path / "editor"
    editor.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\nfile = pathlib.Path(sys.argv[1])\ntext = file.read_text()\n"
        f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(text)\n"
        "file.write_text(text.replace('master_port: 7077', 'master_port: 7078'))\n"
    )
    editor.chmod(0o755)
    before = (way.dtk.root / "services" / SERVICE / "service.yaml").read_text()
    way.service("edit-attributes", EDITOR=str(editor))
    same_screen("5.9-edit-attributes", (tmp_path / "seen").read_text())
    after = (way.dtk.root / "services" / SERVICE / "service.yaml").read_text()
    assert after == f"{before}attributes:\n  master/spark::master/master_port: 7078\n"
    assert "Status: OK" in way.service("converge")
    home = next(n["attributes"]["home"] for n in way.dtk.json("list-nodes", SERVICE) if n["node"] == "slaves:1")
    assert (Path(home) / "spark-worker").read_text().strip().endswith(":7078")


def test_5_8_a_service_is_stopped_started_by_converge_and_destroyed_with_its_nodes(way: Way) -> None:
    deploy(way)
    way.service("stop")
    same_screen("5.8-list-nodes", way.service("list-nodes"))
    same_screen("5.8-ls", way("/service", "ls", "ls"))
    assert "Status: OK" in way.service("converge")
    same_screen("5.8-task-status", way.service("task-status"))
    same_screen("5.4-list-nodes", way.service("list-nodes"))
    assert "Status: OK" in way("/service", f"delete-and-destroy -y {SERVICE}", f"delete-and-destroy -y {SERVICE}")
    assert way("/service", "ls", "ls") == "Message: List is empty.\n"
