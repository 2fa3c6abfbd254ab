"""A new user's first steps: a staged service shows what is planned, and dtk's own modules need no install."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Dtk
from tests.support.terminal import at_a_terminal
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.usefixtures("module")


def statuses(dtk: Dtk) -> dict[str, str]:
    """Return the status of each node in the listing, by node name."""
    rows = [line.split("|") for line in dtk.run("list-nodes", "ring1").stdout.splitlines() if line.startswith("| ")]
    return {row[2].strip(): row[6].strip() for row in rows[1:]}


def test_a_staged_service_shows_its_planned_nodes(dtk: Dtk) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    assert statuses(dtk) == {"master": "planned", "slaves:1": "planned", "slaves:2": "planned"}
    assert dtk.json("list-nodes", "ring1") == [], "programs are given what exists"
    assert [service["nodes"] for service in dtk.json("ls")] == [3]
    dtk.run("apply", "ring1", "--yes")
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "3")
    assert statuses(dtk) == {"master": "running", "slaves:1": "running", "slaves:2": "running", "slaves:3": "planned"}
    file = dtk.root / "services" / "ring1" / "service.yaml"
    before = file.read_text()
    file.write_text(before + "nonsense: [\n")
    assert "planned" not in dtk.run("list-nodes", "ring1").stdout, "what exists is listed whatever the files hold"
    file.write_text(before)


@pytest.mark.parametrize("name", ["bigtop:spark", "bigtop/spark"])
def test_installing_a_module_of_dtks_own_says_how_it_is_staged(dtk: Dtk, name: str) -> None:
    refused = dtk.run("install", name, code=2).stderr
    assert f"module '{name}' is already available" in refused
    assert f"next: dtk stage {name}/cluster NAME" in refused


@pytest.fixture
def two_required(module: Path) -> None:
    """Make two attributes of the module required, without a default."""
    file = module / "dtk.module.yaml"
    text = file.read_text().replace("greeting: {type: string, default: welcome}", "greeting: {required: true}")
    file.write_text(text.replace("port: {type: port, default: 7400}", "port: {type: port, required: true}"))


@pytest.mark.usefixtures("two_required")
def test_deploy_asks_at_a_terminal_for_what_is_required_and_unset(dtk: Dtk) -> None:
    shown = at_a_terminal(dtk, "deploy", "acme:ring/cluster", "ring1", answer="good day\n7400\nyes")
    assert "Please enter master/ring::hub/greeting [STRING]:" in shown
    assert "Please enter master/ring::hub/port [PORT]:" in shown
    assert "Status: OK" in shown
    assert "3 of 3 nodes changed, " in shown


@pytest.mark.usefixtures("two_required")
def test_deploy_without_a_terminal_names_what_is_required_and_unset(dtk: Dtk) -> None:
    refused = dtk.run("deploy", "acme:ring/cluster", "ring1", code=3).stderr
    assert "Attribute (master/ring::hub/greeting) is required, but unset" in refused
    assert "Attribute (master/ring::hub/port) is required, but unset" in refused
    assert "next: dtk set-required-attributes ring1 asks for the missing values; then dtk apply ring1" in refused
    dtk.run("set-attribute", "ring1", "master/ring::hub/greeting=a, b = c", "master/ring::hub/port=7400")
    assert "greeting: 'a, b = c'" in (dtk.root / "services/ring1/service.yaml").read_text()
    dtk.run("plan", "ring1")


@pytest.mark.usefixtures("two_required")
def test_with_violations_the_refusal_comes_first_and_what_to_do_last(dtk: Dtk) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    for line in ("plan ring1", "apply ring1 --yes", "converge ring1", "exec ring1 create"):
        refused = dtk.run(*line.split(), code=3)
        assert not refused.stdout, line
        first, *_, last = refused.stderr.splitlines()
        assert first == "error: service 'ring1' can't be planned"
        assert last == "next: dtk set-required-attributes ring1 asks for the missing values"
        assert refused.stderr.count("is required, but unset; fix it: dtk set-attribute ring1 master/ring::hub/") == 2
    file = dtk.root / "services/ring1/service.yaml"
    file.write_text(f"{file.read_text()}attributes: {{master/ring::hub/port: many}}\n")
    last = dtk.run("converge", "ring1", code=3).stderr.splitlines()[-1]
    assert last == "next: dtk list-violations ring1 lists the violations to fix"


def test_a_task_ends_with_what_it_did_and_vv_prints_what_runs(dtk: Dtk) -> None:
    done = dtk.run("deploy", "acme:ring/cluster", "ring1", "-vv")
    assert done.stdout.endswith("Status: OK\n"), "the stream is the original's, to its last line"
    *_, line = done.stderr.splitlines()
    assert line.startswith("3 of 3 nodes changed, 7 operations, ")
    assert "master > OPERATION: files.directory {path: " in done.stdout
    assert "master >   mkdir -p " in done.stdout, "an operation is told with the commands that it ran"
    assert "slaves:2 > RUN: sh -c true (syscall): changed, RETURN CODE 0, " in done.stdout
    dtk.run("set-attribute", "ring1", "slaves/ring::member/work=sleep 9; echo said; exit 3")
    failed = dtk.run("apply", "ring1", "--yes", "-v", code=1)
    assert "slaves:1 | said" in failed.stdout
    assert "slaves:1 > " not in failed.stdout
    assert "2 of 3 nodes changed, 2 failed, " in failed.stderr.splitlines()[-1]
    lines = [event["last_line"] for event in dtk.events("ring1", 2) if event["type"] == "step.heartbeat"]
    assert "RUN sh -c 'sleep 9; echo said; exit 3'" in lines, "what prints nothing is known all the same"


def test_resetting_ends_the_nodes_and_keeps_the_service(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1", "--set", "slaves/ring::member/work=exit 3", code=1)
    before = (dtk.root / "services/ring1/service.yaml").read_text()
    ids = {node["node"]: node["id"] for node in dtk.json("list-nodes", "ring1")}
    assert "use --yes" in dtk.run("destroy-and-reset-nodes", "ring1", code=2).stderr
    ended = dtk.run("destroy-and-reset-nodes", "ring1", "--yes")
    assert "Status: OK" in ended.stdout
    assert dtk.json("list-nodes", "ring1") == []
    assert (dtk.root / "services/ring1/service.yaml").read_text() == before
    assert "Nothing to do" in dtk.run("destroy-and-reset-nodes", "ring1", "--yes").stdout
    dtk.run("set-attribute", "ring1", "slaves/ring::member/work", "true")
    dtk.run("apply", "ring1", "--yes")
    made = {node["node"]: node["id"] for node in dtk.json("list-nodes", "ring1")}
    assert made.keys() == ids.keys()
    assert "Nothing to do" in dtk.run("plan", "ring1").stdout


OUTPUTS = """\
    outputs:
      url: "http://{{ master/ring::hub/address }}/"
      members: "{{ slaves/host_address }}"
      hubs: "{{ slaves/ring::member/hub }} and {{ master/ring::hub/port }}"
      greeting: "{{ master/ring::hub/greeting }}"
      last: "{{ slaves/ring::member/work }}"
"""


def test_outputs_are_shown_at_the_end_of_apply_and_by_a_command(dtk: Dtk, module: Path) -> None:
    file = module / "dtk.module.yaml"
    text = file.read_text().replace("default: welcome}", "default: welcome, hidden: true}")
    file.write_text(
        text.replace("    description: A hub with members\n", f"    description: A hub with members\n{OUTPUTS}")
    )
    dtk.run("stage", "acme:ring/cluster", "ring1", "--set", "slaves/ring::member/work=printf '\x1b[2J'")
    before = {row["name"]: row["status"] for row in dtk.json("outputs", "ring1")}
    assert before["url"] == "known_after_apply"
    assert "(known after apply)" in dtk.run("outputs").stdout
    shown = dtk.run("apply", "ring1", "--yes").stdout.partition("Status: OK\n")[2]
    addresses = dtk.addresses("ring1")
    port = dtk.run("outputs", "ring1", "url").stdout.strip().removeprefix(f"http://{addresses['master']}:").strip("/")
    hub = f"{addresses['master']}:{port}"
    assert shown.startswith(f"Outputs:\n  url      = http://{hub}/\n")
    assert f"  hubs     = {hub},{hub} and 7400\n" in shown
    assert "  greeting = (hidden)\n" in shown
    assert "\x1b" not in shown
    rows = {row["name"]: row for row in dtk.json("outputs")}
    assert rows["members"]["value"] == [addresses["slaves:1"], addresses["slaves:2"]]
    assert rows["greeting"] == {"name": "greeting", "status": "hidden", "value": None}
    assert "did you mean 'members'" in dtk.run("outputs", "ring1", "member", code=2).stderr
    file.write_text(file.read_text().replace("slaves/ring::member/hub", "slaves/ring::member/hob"))
    refused = dtk.run("validate", code=3).stderr
    assert "output 'hubs' names 'slaves/ring::member/hob', which is not an attribute of the assembly" in refused
    assert "did you mean 'slaves/ring::member/hub'?" in refused


def test_a_service_that_is_edited_while_its_task_runs_is_told_how_the_task_ended(
    dtk: Dtk, module: Path, outside: Path
) -> None:
    go, file = outside / "go", dtk.root / "services/ring1/service.yaml"
    log = dtk.root / ".dtk/services/ring1/tasks/1/events.jsonl"
    definition = module / "dtk.module.yaml"
    title = "    description: A hub with members\n"
    definition.write_text(definition.read_text().replace(title, title + OUTPUTS))
    wait = f"until test -e {go}; do sleep 0.1; done"
    dtk.run("stage", "acme:ring/cluster", "ring1", "--set", f"slaves/ring::member/work={wait}")
    running = dtk.start("apply", "ring1", "--yes")
    eventually(lambda: log.exists() and "configure_node on" in log.read_text(), "the step begins")
    file.write_text(file.read_text() + "nonsense: [\n")
    go.touch()
    shown, _ = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, shown
    assert "Status: OK" in shown
    assert "warning: the outputs are not shown" in shown


def test_what_only_carries_values_between_components_is_listed_when_asked_for(dtk: Dtk) -> None:
    dtk.run("stage", "bigtop:spark/cluster", "spark1")
    shown, whole = dtk.run("list-attributes").stdout, dtk.run("list-attributes", "--all").stdout
    assert shown.endswith("\n30 rows in set\n")
    assert whole.endswith("\n75 rows in set\n")
    assert "slaves/spark::worker/master_port" in whole
    assert "slaves/spark::worker/master_port" not in shown
    assert "slaves/spark::worker/master_port" in dtk.run("list-attributes", "--attribute", "master_port").stdout
    marks = {row["path"]: row["internal"] for row in dtk.json("list-attributes")}
    assert len(marks) == 75
    assert marks["slaves/spark::worker/settings"]
    assert not marks["spark::cluster/version"]


def test_a_row_keeps_its_number_whatever_else_is_listed(dtk: Dtk) -> None:
    def numbers() -> dict[str, str]:
        rows = [line.split("|") for line in dtk.run("list-components", "ring1").stdout.splitlines() if "::" in line]
        return {row[2].strip(): row[1].strip() for row in rows}

    dtk.run("stage", "acme:ring/cluster", "ring1")
    before = numbers()
    dtk.run("add-node", "ring1", "edge")
    added = dtk.run("add-component", "ring1", "edge/ring::hub").stdout
    after = numbers()
    assert after.items() > before.items()
    assert len(set(after.values())) == len(after)
    assert added.startswith(f"component_id: {after['edge/ring::hub']}\n")


def test_a_new_module_does_what_it_says(dtk: Dtk) -> None:
    dtk.run("module", "new", "acme/mine")
    assert "acme/mine" not in dtk.run("validate").stderr, "it draws no warning"
    assert "Valid: " in dtk.run("validate", "acme:mine", "--strict").stdout, "a module is known by its name, too"
    assert "no dtk.module.yaml in acme:none" in dtk.run("validate", "acme:none", code=2).stderr
    done = dtk.run("deploy", "acme:mine/single", "mine1", "--set", "main/mine::server/greeting=good day")
    assert "STDOUT:\n  good day\n" in done.stdout
    modeline, *_ = (dtk.root / "services/mine1/service.yaml").read_text().splitlines()
    schema = modeline.removeprefix("# yaml-language-server: $schema=")
    assert (dtk.root / "services/mine1" / schema).is_file()


def test_deleting_what_has_no_nodes_is_one_plain_question(dtk: Dtk) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    shown = at_a_terminal(dtk, "delete-and-destroy", "ring1", answer="no")
    assert "delete and destroy service 'ring1', which has no nodes? (yes|no)" in shown
    assert "Nothing to do" not in shown
