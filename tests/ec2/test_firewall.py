"""Tests of a service's security group rules: planned, updated by every apply, and only dtk's own rules are removed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dtk.__main__ import run
from dtk.nodes.ec2 import aws, ssh_rules
from dtk.nodes.provider import OpenPort
from dtk.service import ssh_connection
from dtk.state.store import load_state
from tests.ec2.cloud import Cloud, Reports, write_target
from tests.support.ec2 import Fault

HERE = "10.80.0.1/32"
FIRST, SECOND = "192.0.2.0/24", "198.51.100.0/24"
SERVING = """
dsl_version: 1.0.0
module: acme/bare
components:
  web:
    attributes:
      port: {type: port, default: 8080}
      other: {type: port, default: 9090}
assemblies:
  cluster:
    nodes:
      master: {components: [bare::web]}
      slaves: {attributes: {type: group, cardinality: 2}}
"""

WORKING = """
dsl_version: 1.0.0
module: acme/bare
components:
  web: {actions: {create: {commands: [RUN true]}}}
assemblies:
  cluster:
    nodes:
      master: {components: [bare::web]}
      slaves: {attributes: {type: group, cardinality: 2}}
"""


def groups(cloud: Cloud) -> list[Any]:
    filters = [{"Name": "tag:dtk:service", "Values": ["spark1"]}]
    return list(cloud.client().describe_security_groups(Filters=filters)["SecurityGroups"])


def rules(cloud: Cloud) -> set[tuple[int, str]]:
    (group,) = groups(cloud)
    return {
        (rule["FromPort"], source["CidrIp"])
        for rule in group["IpPermissions"]
        if "FromPort" in rule
        for source in rule["IpRanges"]
    }


@pytest.fixture
def dtk(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def ran(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        ended = run([*words])
        output = capsys.readouterr()
        assert ended == code, output.out + output.err
        return output.out + output.err

    return ran


@pytest.fixture
def serving(cloud: Cloud, service: Reports) -> Reports:
    """Return the records of a service with two declared ports, which the target opens to one address range."""
    (cloud.workspace.modules / "acme" / "bare" / "dtk.module.yaml").write_text(SERVING)
    write_target(cloud, open_to=[FIRST])
    return service


def test_what_is_declared_and_to_whom_is_planned_and_applied_without_making_a_node(
    cloud: Cloud, serving: Reports, dtk: Callable[..., str]
) -> None:
    assert rules(cloud) == {(22, HERE)}
    planned = dtk("plan", "spark1")
    assert f"Firewall:\n  + open 8080 to {FIRST}\n  + open 9090 to {FIRST}\n" in planned
    assert dtk("plan", "spark1", "--detailed-exitcode", code=10)
    dtk("apply", "spark1", "--yes")
    assert rules(cloud) == {(22, HERE), (8080, FIRST), (9090, FIRST)}
    assert "Nothing to do" in dtk("plan", "spark1", "--detailed-exitcode")


def test_a_changed_port_and_a_changed_range_take_back_what_was_open(
    cloud: Cloud, serving: Reports, dtk: Callable[..., str]
) -> None:
    dtk("apply", "spark1", "--yes")
    dtk("set-attribute", "spark1", "master/bare::web/port", "8081")
    write_target(cloud, open_to=[SECOND], ssh_from=["10.80.0.2/32"])
    planned = dtk("plan", "spark1")
    assert f"  - close 8080 to {FIRST}\n  - close 9090 to {FIRST}\n  + open 8081 to {SECOND}\n" in planned
    dtk("apply", "spark1", "--yes", "--lock-wait", "60s")
    assert rules(cloud) == {(22, "10.80.0.2/32"), (8081, SECOND), (9090, SECOND)}
    state = load_state(cloud.workspace.state_file("spark1"))
    assert state is not None
    assert state.open_ports == {SECOND: (8081, 9090)}


def test_what_people_added_to_the_group_stays(cloud: Cloud, serving: Reports, dtk: Callable[..., str]) -> None:
    group = groups(cloud)[0]["GroupId"]
    own = {"IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "IpRanges": [{"CidrIp": "203.0.113.0/24"}]}
    cloud.client().authorize_security_group_ingress(GroupId=group, IpPermissions=[own])
    dtk("apply", "spark1", "--yes")
    write_target(cloud)
    dtk("apply", "spark1", "--yes", "--lock-wait", "60s")
    assert rules(cloud) == {(22, HERE), (8080, "203.0.113.0/24")}


def test_a_changed_address_of_this_machine_replaces_the_old_one(cloud: Cloud, service: Reports) -> None:
    records = list(service.records.values())
    moved = cloud.provider(ssh_from=["10.80.0.2/32"])
    changed = moved.update_firewall(cloud.identity(), records, None)
    assert changed.opened == (OpenPort(22, "10.80.0.2/32"),)
    assert changed.closed == (OpenPort(22, HERE),)
    assert rules(cloud) == {(22, "10.80.0.2/32")}
    assert moved.update_firewall(cloud.identity(), records, None).opened == ()


def test_another_address_of_this_machine_as_aws_sees_it_replaces_the_old_one(cloud: Cloud, asked: list[bytes]) -> None:
    provider = cloud.provider(addresses="public", ssh_from=[])
    made = cloud.create("master", provider=provider)
    assert rules(cloud) == {(22, "198.51.100.7/32")}
    asked[0] = b"198.51.100.8"
    provider.update_firewall(cloud.identity(), list(made.records.values()), None)
    assert rules(cloud) == {(22, "198.51.100.8/32")}


def described(cloud: Cloud) -> dict[str, str]:
    """Return the SSH rules: each allowed range with the rule's description, which names the owner."""
    (group,) = groups(cloud)
    ranges = [one for rule in group["IpPermissions"] if rule.get("FromPort") == 22 for one in rule["IpRanges"]]
    return {one["CidrIp"]: one["Description"] for one in ranges}


def test_a_machine_replaces_its_own_rule_alone_and_a_task_takes_away_those_left_behind(
    cloud: Cloud, asked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engineer's ``dtk ssh`` must not lock out the CI job that works on the nodes."""
    provider = cloud.provider(addresses="public", ssh_from=[])
    by_task, by_hand = cloud.identity(), replace(cloud.identity(), task=0)
    records = list(cloud.create("master", provider=provider).records.values())
    monkeypatch.setattr(ssh_rules, "owner", lambda: "ada@laptop")
    asked[0] = b"203.0.113.9"
    provider.update_firewall(by_hand, records, None)
    assert described(cloud).keys() == {"198.51.100.7/32", "203.0.113.9/32"}
    assert described(cloud)["203.0.113.9/32"].startswith("SSH from where dtk runs: ada@laptop ")
    # From another address, the engineer's rule replaces her old one.
    asked[0] = b"203.0.113.10"
    provider.update_firewall(by_hand, records, None)
    assert described(cloud).keys() == {"198.51.100.7/32", "203.0.113.10/32"}
    monkeypatch.setattr(ssh_rules, "owner", lambda: "bob@desk")
    asked[0] = b"192.0.2.77"
    provider.update_firewall(by_task, records, None)
    assert described(cloud).keys() == {"198.51.100.7/32", "203.0.113.10/32", "192.0.2.77/32"}
    # After a day, a task removes the rules that nobody renewed. Other commands don't.
    monkeypatch.setattr(ssh_rules, "KEPT", timedelta(seconds=-60))
    provider.update_firewall(by_hand, records, None)
    assert len(described(cloud)) == 3
    provider.update_firewall(by_task, records, None)
    assert described(cloud).keys() == {"192.0.2.77/32"}


def test_a_machine_renews_its_rule_before_others_take_it_for_left_behind(
    cloud: Cloud, asked: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = cloud.provider(addresses="public", ssh_from=[])
    records = list(cloud.create("master", provider=provider).records.values())
    cloud.api.calls.clear()
    provider.update_firewall(cloud.identity(), records, None)
    assert cloud.api.called("AuthorizeSecurityGroupIngress") == []
    monkeypatch.setattr(ssh_rules, "_RENEWED", timedelta(seconds=-60))
    assert provider.update_firewall(cloud.identity(), records, None).closed == ()
    assert described(cloud).keys() == {f"{asked[0].decode().strip()}/32"}
    assert len(cloud.api.called("AuthorizeSecurityGroupIngress")) == 1


def test_an_address_that_can_not_be_found_out_keeps_the_one_that_is_let_in(cloud: Cloud, service: Reports) -> None:
    unknown = cloud.provider(ssh_from=[], jump="someone@192.0.2.1")
    assert unknown.update_firewall(cloud.identity(), list(service.records.values()), None).closed == ()
    assert rules(cloud) == {(22, HERE)}


def test_groups_that_the_target_names_are_let_be(cloud: Cloud, service: Reports) -> None:
    named = cloud.provider(security_groups=[groups(cloud)[0]["GroupId"]], ssh_from=["10.80.0.2/32"])
    named.update_firewall(cloud.identity(), list(service.records.values()), [OpenPort(8080, FIRST)])
    assert rules(cloud) == {(22, HERE)}


def test_rules_that_a_lost_answer_left_are_no_mistake(cloud: Cloud, service: Reports) -> None:
    cloud.api.faults += [
        Fault("AuthorizeSecurityGroupIngress", lost=True),
        Fault("RevokeSecurityGroupIngress", lost=True),
    ]
    records = list(service.records.values())
    cloud.provider(ssh_from=["10.80.0.2/32"]).update_firewall(cloud.identity(), records, [OpenPort(8080, FIRST)])
    assert rules(cloud) == {(22, "10.80.0.2/32"), (8080, FIRST)}


def test_a_group_that_is_not_known_everywhere_yet_is_waited_for(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws, "LONGEST_PAUSE_SECONDS", 0.2)
    cloud.api.faults.append(Fault("AuthorizeSecurityGroupIngress", "InvalidGroup.NotFound", times=2))
    assert cloud.create("master").errors == {}
    assert rules(cloud) == {(22, HERE)}


def test_work_on_nodes_goes_on_without_aws_as_long_as_no_port_is_planned(
    cloud: Cloud, service: Reports, dtk: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    action = "    actions: {create: {commands: [RUN touch made]}}\n"
    module = SERVING.replace("    attributes:\n      port", f"{action}    attributes:\n      port", 1)
    (cloud.workspace.modules / "acme" / "bare" / "dtk.module.yaml").write_text(module)
    write_target(cloud, connect_timeout=1)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # Nothing listens at that address. The output reports the node's error, not the AWS error.
    assert "no SSH connection" in dtk("apply", "spark1", "--yes", code=1)
    (log,) = cloud.workspace.root.glob(".dtk/services/spark1/tasks/*/events.jsonl")
    assert "the firewall was not changed: there are no AWS credentials" in log.read_text()
    write_target(cloud, open_to=[FIRST])
    assert "there are no AWS credentials" in dtk("apply", "spark1", "--yes", "--lock-wait", "60s", code=1)


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        (
            Fault("AuthorizeSecurityGroupIngress", "UnauthorizedOperation", "You are not authorized", status=403),
            "the permission ec2:AuthorizeSecurityGroupIngress is missing",
        ),
        (
            Fault("AuthorizeSecurityGroupIngress", "RulesPerSecurityGroupLimitExceeded", "The maximum is reached"),
            "(name fewer ranges in the target's open_to",
        ),
    ],
)
def test_a_planned_port_that_is_refused_ends_the_task_with_the_reason_and_resume_opens_it(
    cloud: Cloud, serving: Reports, dtk: Callable[..., str], refused: Fault, reason: str
) -> None:
    cloud.api.faults.append(refused)
    output = dtk("apply", "spark1", "--yes", code=1)
    assert "ERROR: the firewall differs from the plan: " in output
    assert reason in output
    assert "To resume: dtk apply spark1 --resume" in output
    (log,) = cloud.workspace.root.glob(".dtk/services/spark1/tasks/1/events.jsonl")
    ended = json.loads(log.read_text().splitlines()[-1])
    assert (ended["type"], ended["status"]) == ("task.finished", "failed")
    dtk("apply", "spark1", "--resume", "--yes", "--lock-wait", "60s")
    assert rules(cloud) == {(22, HERE), (8080, FIRST), (9090, FIRST)}
    assert "Nothing to do" in dtk("plan", "spark1")


@pytest.fixture
def moved(cloud: Cloud, service: Reports, asked: list[bytes]) -> None:
    """Set up a service whose target allows SSH only from this machine, whose address has changed since."""
    asked[0] = b"198.51.100.8"
    write_target(cloud, ssh_from=None, addresses="public")


@pytest.mark.usefixtures("moved")
def test_a_refresh_tells_that_this_machine_is_not_let_in_any_more(cloud: Cloud, dtk: Callable[..., str]) -> None:
    output = dtk("plan", "spark1", "--refresh")
    assert "Found: SSH: the security group does not allow SSH from 198.51.100.8/32" in output
    assert rules(cloud) == {(22, HERE)}
    group = groups(cloud)[0]["GroupId"]
    wider = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "198.51.0.0/16"}]}
    cloud.client().authorize_security_group_ingress(GroupId=group, IpPermissions=[wider])
    assert "Found: SSH" not in dtk("plan", "spark1", "--refresh")


@pytest.mark.usefixtures("moved")
def test_ssh_from_another_address_lets_it_in_and_logs_in(
    cloud: Cloud, dtk: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(ssh_connection, "ANSWER_SECONDS", 0.1)
    program = tmp_path / "programs" / "ssh"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    output = dtk("ssh", "spark1", "master", "--", "true", code=7)
    assert "The firewall allows SSH from 198.51.100.8/32 now." in output
    assert rules(cloud) == {(22, HERE), (22, "198.51.100.8/32")}, "whom a task has let in stays: it may run"
    program.write_text("#!/bin/sh\nkill -TERM $$\n")
    cloud.api.faults.append(Fault("*", "ExpiredToken", "The token is expired", times=99))
    said = dtk("ssh", "spark1", "master", "--", "true", code=128 + 15)
    assert "The firewall was not changed: AWS does not accept" in said


@pytest.mark.usefixtures("moved")
def test_a_task_that_works_on_nodes_lets_in_this_machine_before_it_connects(
    cloud: Cloud, dtk: Callable[..., str]
) -> None:
    (cloud.workspace.modules / "acme" / "bare" / "dtk.module.yaml").write_text(WORKING)
    write_target(cloud, ssh_from=["198.51.100.8/32"], connect_timeout=1)
    assert "no SSH connection" in dtk("apply", "spark1", "--yes", code=1)
    assert rules(cloud) == {(22, "198.51.100.8/32")}
