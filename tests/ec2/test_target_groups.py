"""Tests of nodes behind load balancers: they leave their target groups before work, and enter them after it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest

from dtk.__main__ import run
from dtk.errors import DtkError
from dtk.model.membership import IN_SERVICE, REGISTERED
from dtk.nodes.ec2 import target_groups
from dtk.nodes.provider import Membership
from dtk.state.changes import with_membership
from dtk.state.store import load_state, save_state
from tests.ec2.balanced import Balanced, apply, balancer, changing, new_group, shown
from tests.ec2.cloud import Cloud, Reports
from tests.support.ec2 import Fault


def members(cloud: Cloud, arn: str) -> list[str]:
    """Return the ids of a group's targets, with their ports if these are not the group's."""
    found = balancer(cloud).describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    targets = [one["Target"] for one in found]
    return sorted(f"{one['Id']}:{one['Port']}".removesuffix(":8080") for one in targets)


@pytest.fixture
def _short_polls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target_groups, "POLL_SECONDS", 0.1)


def entering(made: Reports, *groups: str) -> list[Membership]:
    return [Membership(record, groups) for record in made.records.values()]


@pytest.fixture
def balanced(service_on_ssh: Balanced) -> Balanced:
    """Return the service with its group ``web`` in the target group ``app``."""
    assert run(["set-attribute", "spark1", "web/target_groups", "[app]"]) == 0
    return service_on_ssh


@pytest.mark.usefixtures("_short_polls")
def test_one_call_per_group_registers_all_nodes_and_one_per_poll_asks_for_their_health(cloud: Cloud) -> None:
    app, admin = new_group(cloud, "app"), new_group(cloud, "admin")
    made = cloud.create(*(f"web:{number}" for number in range(1, 6)))
    cloud.api.calls.clear()
    reports = Reports()
    cloud.provider().register(cloud.identity(), entering(made, "app", f"{admin}:9090"), reports)
    assert (reports.errors, sorted(reports.records)) == ({}, sorted(made.records))
    ids = sorted(one.id for one in cloud.instances())
    assert (members(cloud, app), members(cloud, admin)) == (ids, [f"{id_}:9090" for id_ in ids])
    assert changing(cloud) == ["RegisterTargets", "RegisterTargets"]
    (of_admin,) = [call for call in cloud.api.called("RegisterTargets") if call["TargetGroupArn"] == admin]
    assert of_admin["Targets.member.1.Port"] == "9090"
    # The two last calls are this test's own.
    assert len(cloud.api.called("DescribeTargetHealth")) - 2 == 2


@pytest.mark.usefixtures("_short_polls")
def test_steps_that_wait_at_the_same_time_share_the_answers(cloud: Cloud) -> None:
    new_group(cloud, "app")
    made = cloud.create("web:1", "web:2", "web:3", "web:4")
    for record in made.records.values():
        cloud.api.health[record.id] = ("initial", "Elb.RegistrationInProgress", "Target registration is in progress")
    provider, reports = cloud.provider(health_timeout=1.5), Reports()
    cloud.api.calls.clear()
    steps = [
        threading.Thread(target=provider.register, args=(cloud.identity(), [one], reports))
        for one in entering(made, "app")
    ]
    for step in steps:
        step.start()
    for step in steps:
        step.join()
    assert len(reports.errors) == 4
    # 1.5 s in polls of 0.1 s, each of which needs an answer of the last 0.05 s: four steps alone would ask for four.
    assert len(cloud.api.called("DescribeTargetHealth")) <= 2 * 15 + 4


@pytest.mark.usefixtures("_short_polls")
def test_a_node_that_is_never_healthy_fails_with_the_reason_of_aws_and_no_other_node(cloud: Cloud) -> None:
    new_group(cloud, "app")
    made = cloud.create("web:1", "web:2")
    cloud.api.health[made.records["web:1"].id] = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed")
    reports = Reports()
    cloud.provider(health_timeout=0.3).register(cloud.identity(), entering(made, "app"), reports)
    assert list(reports.records) == ["web:2"]
    told = "web:1 is not healthy in target group app after 0.3 s: unhealthy"
    assert reports.errors["web:1"].message == f"{told} (Target.FailedHealthChecks: Health checks failed)"
    cloud.api.health[made.records["web:1"].id] = ("unused", "Target.NotInUse", "not configured to receive traffic")
    cloud.provider(health_timeout=0.3).register(cloud.identity(), entering(made, "app"), reports)
    assert "configure a load balancer's listener to forward to the group" in reports.errors["web:1"].hint
    told = "Target is in an Availability Zone that is not enabled for the load balancer"
    cloud.api.health[made.records["web:1"].id] = ("unused", "Target.NotInUse", told)
    cloud.provider(health_timeout=0.3).register(cloud.identity(), entering(made, "app"), reports)
    assert "enable the zone us-east-1a for the load balancer" in reports.errors["web:1"].hint
    cloud.provider().stop(cloud.identity(), [made.records["web:1"]], Reports())
    reports = Reports()
    cloud.provider().register(cloud.identity(), entering(made, "app"), reports)
    assert (list(reports.records), list(reports.errors)) == (["web:2"], ["web:1"])
    assert "(InvalidTarget)" in reports.errors["web:1"].message


@pytest.mark.usefixtures("_short_polls")
def test_connections_are_drained_and_a_group_that_is_gone_holds_nobody_up(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = new_group(cloud, "app")
    gone = new_group(cloud, "gone")
    made = cloud.create("web:1", "web:2")
    provider = cloud.provider()
    provider.register(cloud.identity(), entering(made, "app", "gone"), Reports())
    balancer(cloud).delete_target_group(TargetGroupArn=gone)
    cloud.api.draining = 2
    cloud.api.calls.clear()
    reports = Reports()
    provider.deregister(cloud.identity(), entering(made, "app", "gone"), reports)
    assert (reports.errors, sorted(reports.records)) == ({}, ["web:1", "web:2"])
    asked = len(cloud.api.called("DescribeTargetHealth"))
    assert asked > 1, "it waits until they are drained"
    assert changing(cloud) == ["DeregisterTargets"]
    assert members(cloud, arn) == []
    # So is a group that goes meanwhile.
    provider.register(cloud.identity(), entering(made, "app"), Reports())
    cloud.api.faults.append(Fault("DeregisterTargets", "TargetGroupNotFound", "One or more target groups not found"))
    provider.deregister(cloud.identity(), entering(made, "app"), reports)
    assert reports.errors == {}
    # A target that never ends draining is waited for no longer than its group's delay.
    monkeypatch.setattr(target_groups, "_MARGIN_SECONDS", 0.3)
    delay = {"Key": "deregistration_delay.timeout_seconds", "Value": "0"}
    balancer(cloud).modify_target_group_attributes(TargetGroupArn=arn, Attributes=[delay])
    provider.register(cloud.identity(), entering(made, "app"), Reports())
    cloud.api.draining = 1000
    provider.deregister(cloud.identity(), entering(made, "app"), reports)
    assert reports.errors == {}


def test_a_group_that_does_not_exist_or_takes_no_instances_is_named(cloud: Cloud) -> None:
    new_group(cloud, "app")
    made = cloud.create("web:1")
    with pytest.raises(DtkError, match="the target group 'apps' of node 'web:1' does not exist in us-east-1"):
        cloud.provider().register(cloud.identity(), entering(made, "app", "apps"), Reports())
    cloud.api.faults.append(Fault("RegisterTargets", "AccessDenied", "not authorized", status=403))
    with pytest.raises(DtkError, match="the permission elasticloadbalancing:RegisterTargets is missing"):
        cloud.provider().register(cloud.identity(), entering(made, "app"), Reports())


def test_nodes_enter_after_their_work_and_leave_one_after_the_other_while_they_are_changed(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = balanced.cloud
    plan = shown(capsys, "plan", "spark1")
    assert "register_node web:[1-2]  (into app)" in plan
    assert "meanwhile" not in plan, "they serve nobody yet"
    assert apply() == 0
    assert members(cloud, balanced.arn) == balanced.ids()
    assert changing(cloud) == ["RegisterTargets"]
    assert balanced.state("web:1")[REGISTERED] == ["app"]
    assert shown(capsys, "plan", "spark1").startswith("Nothing to do")
    assert run(["set-attribute", "spark1", "web/bare::app/version", "2"]) == 0
    plan = shown(capsys, "plan", "spark1")
    assert "(1 at a time) (out of app meanwhile)" in plan
    assert "register_node" not in plan
    cloud.api.calls.clear()
    assert apply() == 0
    calls = [call for call in changing(cloud) if call.endswith("Targets")]
    assert calls == ["DeregisterTargets", "RegisterTargets"] * 2
    assert balanced.log.read_text().split() == ["1", "1", "2", "2"]
    assert members(cloud, balanced.arn) == balanced.ids()
    events = shown(capsys, "task-status", "spark1", "--json")
    assert "failed" not in events
    log = cloud.workspace.event_log("spark1", 2).read_text().splitlines()
    found = [(e["node"], e["change"]) for e in map(json.loads, log) if e["type"] == "node.changed"]
    for node in ("web:1", "web:2"):
        assert [change for one, change in found if one == node] == ["deregistered", "registered"]
    # So does a node outside the group of nodes that is in the same target group.
    assert run(["add-component", "spark1", "edge/bare::app"]) == 0
    assert run(["set-attribute", "spark1", "edge/target_groups", "['app:8080']"]) == 0
    assert apply() == 0
    for node in ("web", "edge"):
        assert run(["set-attribute", "spark1", f"{node}/bare::app/version", "3"]) == 0
    cloud.api.calls.clear()
    assert apply() == 0
    calls = [call for call in changing(cloud) if call.endswith("Targets")]
    assert calls == ["DeregisterTargets", "RegisterTargets"] * 3


def test_a_node_whose_work_fails_stays_out_and_a_resume_brings_it_in(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = balanced.cloud
    assert apply() == 0
    assert run(["set-attribute", "spark1", "web/bare::app/verdict", "false"]) == 0
    assert apply() == 1
    (left,) = members(cloud, balanced.arn)
    assert left == balanced.made.records["web:2"].id, "the second node does not start after the failure"
    assert IN_SERVICE not in balanced.state("web:1")
    assert run(["set-attribute", "spark1", "web/bare::app/verdict", "true"]) == 0
    assert run(["set-attribute", "spark1", "web/bare::app/version", "2"]) == 0
    plan = shown(capsys, "plan", "spark1")
    assert ("(out of app meanwhile)" in plan, "register_node" in plan) == (True, False)
    cloud.api.calls.clear()
    assert apply("--resume") == 0
    assert members(cloud, balanced.arn) == balanced.ids()
    ids = [balanced.made.records[node].id for node in ("web:1", "web:2")]
    assert [(name, call["Targets.member.1.Id"]) for name, call in cloud.api.calls if name.endswith("Targets")] == [
        ("RegisterTargets", ids[0]),
        ("DeregisterTargets", ids[1]),
        ("RegisterTargets", ids[1]),
    ], "the node that is out is back before the one that serves leaves"


def out_of_group(balanced: Balanced, node: str) -> None:
    """Let a node be as a task leaves it whose work on the node failed."""
    file = balanced.cloud.workspace.state_file("spark1")
    state = load_state(file)
    assert state is not None
    save_state(file, with_membership(state, node, (), in_service=False))
    target = {"Id": balanced.made.records[node].id}
    balancer(balanced.cloud).deregister_targets(TargetGroupArn=balanced.arn, Targets=[target])


def planned(capsys: pytest.CaptureFixture[str], *more: str) -> list[tuple[str, str, list[str]]]:
    """Return node, type and target groups of a plan's leaves in their order."""
    stages = json.loads(shown(capsys, "plan", "spark1", "--json", *more))["stages"]
    leaves = [leaf for stage in stages for step in stage["steps"] for leaf in step.get("steps", [step])]
    return [(leaf["node"], leaf["type"], leaf.get("target_groups", [])) for leaf in leaves]


def test_a_node_that_is_out_comes_back_before_another_one_leaves(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply() == 0
    out_of_group(balanced, "web:2")
    assert run(["set-attribute", "spark1", "web/bare::app/version", "2"]) == 0
    # It has work of its own: it is the first, although it is the second member.
    configured = [(node, "configure_node", ["app"]) for node in ("web:2", "web:1")]
    assert planned(capsys) == configured
    assert apply() == 0
    assert planned(capsys) == []
    out_of_group(balanced, "web:2")
    assert run(["set-attribute", "spark1", "web:1/bare::app/version", "3"]) == 0
    # It has none: it is registered before the stage that takes out the other.
    assert planned(capsys) == [("web:2", "register_node", ["app"]), ("web:1", "configure_node", ["app"])]
    assert apply() == 0
    assert members(balanced.cloud, balanced.arn) == balanced.ids()


def test_a_node_that_is_not_healthy_is_a_failed_step_and_the_next_plan_has_it(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, id_ = balanced.cloud, balanced.made.records["web:1"].id
    cloud.api.health[id_] = ("unhealthy", "Target.FailedHealthChecks", "Health checks failed with these codes: [502]")
    assert apply() == 1
    status = shown(capsys, "task-status", "spark1")
    assert "Health checks failed with these codes: [502]" in " ".join(status.split())
    cloud.api.health.clear()
    assert "register_node web:1  (into app)" in shown(capsys, "plan", "spark1")
    # A node that may be in a group leaves it, whatever came of its registration.
    assert "deregister_node web:[1-2]" in shown(capsys, "delete-and-destroy", "spark1")
    assert apply("--resume") == 0
    assert balanced.state("web:1")[IN_SERVICE] is True


def test_nodes_leave_before_they_stop_or_go_and_enter_when_they_run_again(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = balanced.cloud
    assert apply() == 0
    cloud.api.calls.clear()
    assert run(["stop", "spark1", "web"]) == 0
    assert changing(cloud) == ["DeregisterTargets", "StopInstances"]
    assert members(cloud, balanced.arn) == []
    assert run(["start", "spark1", "web"]) == 0
    assert changing(cloud)[2:] == ["StartInstances", "RegisterTargets"]
    assert members(cloud, balanced.arn) == balanced.ids()
    cloud.api.calls.clear()
    assert run(["delete-and-destroy", "spark1", "--yes"]) == 0
    assert changing(cloud)[:2] == ["DeregisterTargets", "TerminateInstances"]
    assert members(cloud, balanced.arn) == []


def test_a_resize_takes_out_one_node_after_the_other_until_it_is_healthy(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply() == 0
    assert run(["set-attribute", "spark1", "web/size", "large"]) == 0
    plan = shown(capsys, "plan", "spark1", "--json")
    steps = [(s["node"], s["type"]) for stage in json.loads(plan)["stages"] for s in stage["steps"]]
    kinds = ("deregister_node", "resize_node", "register_node")
    assert steps[:6] == [(node, kind) for node in ("web:1", "web:2") for kind in kinds]


def test_a_replacement_is_registered_and_healthy_before_the_next_round(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply() == 0
    plan = shown(capsys, "plan", "spark1", "--replace", "web", "--json")
    leaves = [
        (leaf["node"], leaf["type"])
        for stage in json.loads(plan)["stages"]
        for step in stage["steps"]
        for leaf in step.get("steps", [step])
    ]
    kinds = ("deregister_node", "terminate_node", "create_node", "configure_node", "register_node")
    assert leaves == [(node, kind) for node in ("web:1", "web:2") for kind in kinds]


def test_a_group_that_is_no_longer_named_is_left_once_the_next_one_is_entered(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = balanced.cloud
    assert apply() == 0
    other = new_group(cloud, "other")
    # Another port, and then the same one in other words.
    for groups, calls in (("[app:9090]", ["RegisterTargets", "DeregisterTargets"]), (f"['{balanced.arn}:9090']", [])):
        cloud.api.calls.clear()
        assert run(["set-attribute", "spark1", "web/target_groups", groups]) == 0
        assert apply() == 0
        assert [call for call in changing(cloud) if call != "RegisterTargets" or calls] == calls
        assert members(cloud, balanced.arn) == [f"{id_}:9090" for id_ in balanced.ids()]
    # A group that can't be left is a failed step, and the next plan has it.
    assert run(["set-attribute", "spark1", "web/target_groups", "[other]"]) == 0
    cloud.api.faults.append(Fault("DeregisterTargets", "AccessDenied", "not authorized", status=403))
    assert apply() == 1
    status = " ".join(shown(capsys, "task-status", "spark1").split())
    assert "the permission elasticloadbalancing:DeregisterTargets is missing" in status
    assert "add the statement OptionalTargetGroups of the policy in docs/ec2.md" in status
    assert "until then, the node stays in its target groups, and dtk does not touch its machine" in status
    assert len(members(cloud, balanced.arn)) == len(members(cloud, other)) == 2
    assert "register_node web:[1-2]  (into other)" in shown(capsys, "plan", "spark1")
    assert apply("--resume") == 0
    assert (members(cloud, balanced.arn), members(cloud, other)) == ([], balanced.ids())
    assert run(["set-attribute", "spark1", "web/target_groups", "[]"]) == 0
    assert "deregister_node web:[1-2]  (out of other)" in shown(capsys, "plan", "spark1")
    assert apply() == 0
    assert members(cloud, other) == []
    assert shown(capsys, "plan", "spark1").startswith("Nothing to do")


def test_a_task_that_died_after_taking_a_node_out_is_finished_by_the_next(
    balanced: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    assert apply() == 0
    file = balanced.cloud.workspace.state_file("spark1")
    state = load_state(file)
    assert state is not None
    # As a task leaves it that dies right after it recorded that the node may be out.
    known = state.nodes["web:1"]
    nodes = {**state.nodes, "web:1": replace(known, attributes={**known.attributes, IN_SERVICE: False})}
    save_state(file, replace(state, nodes=nodes))
    assert "register_node web:1  (into app)" in shown(capsys, "plan", "spark1")
    assert apply() == 0
    assert balanced.state("web:1")[IN_SERVICE] is True


def test_a_wrong_list_of_groups_is_told_with_its_place(balanced: Balanced, capsys: pytest.CaptureFixture[str]) -> None:
    file = balanced.cloud.workspace.modules / "acme" / "bare" / "dtk.module.yaml"
    file.write_text(file.read_text().replace("cardinality: 2}", "cardinality: 2, target_groups: {name: app}}"))
    capsys.readouterr()
    assert run(["validate"]) == 3
    told = capsys.readouterr()
    assert "dtk.module.yaml:19:66:" in told.out + told.err
    assert "expected a list of target groups: [app, 'app:8080']" in told.out + told.err
