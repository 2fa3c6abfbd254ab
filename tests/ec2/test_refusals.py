"""Tests of errors for single instances: spot, protection or no capacity fails only that node, with the reason."""

from __future__ import annotations

import pytest

from dtk.__main__ import run
from dtk.errors import DtkError
from dtk.nodes.ec2.instances import on_each
from dtk.nodes.ec2.problems import AwsError
from tests.ec2.cloud import Cloud, Reports, nodes_in_state, save
from tests.support.ec2 import Fault

PROTECTED = "The instance '{}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again."


def protect(cloud: Cloud, id_: str) -> None:
    cloud.client().modify_instance_attribute(InstanceId=id_, DisableApiTermination={"Value": True})


def test_a_spot_instance_is_not_stopped_and_the_others_are(cloud: Cloud) -> None:
    made = cloud.create("master", "slaves:1")
    spot = cloud.create("edge", spot=True)
    assert spot.records["edge"].attributes["market"] == "spot"
    stopped = Reports()
    cloud.provider().stop(cloud.identity(), [*made.records.values(), *spot.records.values()], stopped)
    assert {node: record.status for node, record in stopped.records.items()} == {
        "master": "stopped",
        "slaves:1": "stopped",
    }
    assert "one-time spot instance" in stopped.errors["edge"].message
    asked = [value for call in cloud.api.called("StopInstances") for value in call.values()]
    assert spot.records["edge"].id not in asked


def test_stopping_spot_is_told_before_and_fails_its_step_alone(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    service.records |= cloud.create("edge", spot=True).records
    save(cloud, service)
    capsys.readouterr()
    assert run(["stop", "spark1"]) == 1
    output = capsys.readouterr()
    assert "warning: edge: a one-time spot instance can't be stopped; its step will fail" in output.err
    assert "which EC2 can terminate but not stop" in output.out
    assert nodes_in_state(cloud) == {
        "edge": "running",
        "master": "stopped",
        "slaves:1": "stopped",
        "slaves:2": "stopped",
    }


def test_a_protected_instance_is_kept_with_its_reason_and_the_others_end(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = service.records["slaves:1"].id
    protect(cloud, kept)
    capsys.readouterr()
    assert run(["delete-and-destroy", "spark1", "--yes"]) == 1
    output = capsys.readouterr().out
    assert f"The instance '{kept}' may not be terminated" in output
    assert "protection" in output
    assert nodes_in_state(cloud) == {"slaves:1": "running"}
    assert [instance.id for instance in cloud.instances()] == [kept]


def test_an_instance_that_may_not_be_stopped_keeps_no_other_running(cloud: Cloud) -> None:
    made = cloud.create("master", "slaves:1", "slaves:2")
    kept = made.records["slaves:1"].id

    def names_it(call: dict[str, str]) -> bool:
        return kept in call.values()

    message = PROTECTED.format(kept)
    cloud.api.faults.append(Fault("StopInstances", "OperationNotPermitted", message, suits=names_it, times=9))
    stopped = Reports()
    cloud.provider().stop(cloud.identity(), list(made.records.values()), stopped)
    assert sorted(stopped.records) == ["master", "slaves:2"]
    assert "may not be stopped" in stopped.errors["slaves:1"].message
    assert "protection" in stopped.errors["slaves:1"].hint


def test_no_capacity_to_start_one_starts_the_others(cloud: Cloud) -> None:
    made = cloud.create("master", "slaves:1", "slaves:2")
    stopped, started = Reports(), Reports()
    cloud.provider().stop(cloud.identity(), list(made.records.values()), stopped)
    waiting = made.records["slaves:2"].id

    def holds_it(call: dict[str, str]) -> bool:
        return waiting in call.values()

    # EC2 does not say which of the instances lacks capacity.
    cloud.api.faults.append(Fault("StartInstances", "InsufficientInstanceCapacity", suits=holds_it, times=99))
    cloud.provider().start(cloud.identity(), list(stopped.records.values()), started)
    assert sorted(started.records) == ["master", "slaves:1"]
    assert "InsufficientInstanceCapacity" in started.errors["slaves:2"].message


def test_a_refusal_that_is_for_all_is_asked_for_once() -> None:
    asked = []

    def refuse(ids: list[str]) -> None:
        asked.append(ids)
        raise AwsError("no", code="UnauthorizedOperation")

    with pytest.raises(DtkError):
        on_each([f"i-{number:x}" for number in range(64)], refuse)
    assert len(asked) == 1
