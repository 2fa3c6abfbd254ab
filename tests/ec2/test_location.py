"""Tests of nodes in another region or account than the target's: refused, with both locations, nothing forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto.ec2.models import ec2_backends

from dtk.__main__ import run
from dtk.errors import InvalidError
from dtk.nodes.provider import NodeRequest
from dtk.state.store import load_state
from tests.ec2.cloud import ELSEWHERE, REGION, Cloud, Reports, nodes_in_state, write_target
from tests.support.ec2 import Fault

OWN_ACCOUNT, OTHER_ACCOUNT = "123456789012", "222222222222"
THREE = dict.fromkeys(("master", "slaves:1", "slaves:2"), "running")


@pytest.fixture
def other_profile(cloud: Cloud, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Return the name of a profile of another account in ~/.aws."""
    role = f"arn:aws:iam::{OTHER_ACCOUNT}:role/other"
    sts = boto3.client("sts", region_name=REGION, endpoint_url=cloud.url)
    made = sts.assume_role(RoleArn=role, RoleSessionName="test")["Credentials"]
    file = tmp_path / "credentials"
    file.write_text(
        f"[other]\naws_access_key_id = {made['AccessKeyId']}\naws_secret_access_key = {made['SecretAccessKey']}\n"
        f"aws_session_token = {made['SessionToken']}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    return "other"


def refused(capsys: pytest.CaptureFixture[str], code: int, *words: str) -> str:
    capsys.readouterr()
    # A worker still holds the lock for a moment after its log has ended.
    wait = [] if words[0] == "plan" else ["--lock-wait", "60s"]
    assert run([*words, *wait]) == code
    output = capsys.readouterr()
    return output.out + output.err


def all_there(cloud: Cloud) -> None:
    """Assert that no instance was terminated and no node forgotten."""
    assert nodes_in_state(cloud) == THREE
    assert len(cloud.instances()) == 3


def test_the_state_says_in_which_region_and_account_instances_are(cloud: Cloud, service: Reports) -> None:
    state = load_state(cloud.workspace.state_file("spark1"))
    assert state is not None
    places = {(node.attributes["region"], node.attributes["account"]) for node in state.nodes.values()}
    assert places == {(REGION, OWN_ACCOUNT)}
    assert {known["region"] for _, known in service.recorded} == {REGION}
    assert {known["account"] for _, known in service.recorded} == {OWN_ACCOUNT}


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "spark1"),
        ("plan", "spark1", "--refresh"),
        ("apply", "spark1", "--yes"),
        ("stop", "spark1"),
        ("delete-and-destroy", "spark1", "--yes"),
    ],
)
def test_a_region_that_was_changed_in_the_target_is_refused_with_both(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    write_target(cloud, region=ELSEWHERE)
    output = refused(capsys, 3, *words)
    assert f"the nodes of service 'spark1' are in region {REGION}" in output
    assert f"target 'cloud' is in region {ELSEWHERE} now" in output
    assert "restore the target's" in output
    assert "in dtk.yaml" in output
    all_there(cloud)


def test_a_target_that_became_another_type_is_refused(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.workspace.file.write_text("format_version: 1\ntargets:\n  cloud: {type: local}\n")
    assert "target 'cloud' is local" in refused(capsys, 3, "delete-and-destroy", "spark1", "--yes")
    all_there(cloud)


def test_another_region_of_the_aws_tools_makes_no_node_gone(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_target(cloud, region=None)
    monkeypatch.setenv("AWS_DEFAULT_REGION", ELSEWHERE)
    assert f"target 'cloud' is in region {ELSEWHERE} now" in refused(capsys, 3, "plan", "spark1", "--refresh")
    assert f"are in region {REGION}" in refused(capsys, 1, "delete-and-destroy", "spark1", "--yes")
    all_there(cloud)
    assert run(["list-nodes", "spark1", "--json"]) == 0
    assert REGION in capsys.readouterr().out
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    assert run(["delete-and-destroy", "spark1", "--yes", "--lock-wait", "60s"]) == 0
    assert cloud.instances() == []


def test_a_profile_of_another_account_makes_no_node_gone(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str], other_profile: str
) -> None:
    write_target(cloud, profile=other_profile)
    for code, words in (
        (3, ("plan", "spark1", "--refresh")),
        (1, ("stop", "spark1")),
        (1, ("delete-and-destroy", "spark1", "--yes")),
    ):
        output = refused(capsys, code, *words)
        assert f"are in AWS account {OWN_ACCOUNT}" in output, words
        assert f"belong to account {OTHER_ACCOUNT}" in output
        all_there(cloud)
    assert run(["set-attribute", "spark1", "slaves/cardinality", "3"]) == 0
    assert OTHER_ACCOUNT in refused(capsys, 1, "apply", "spark1", "--yes")
    assert len(cloud.api.called("RunInstances")) == 1


def test_instances_of_a_profile_are_made_in_its_account(cloud: Cloud, other_profile: str) -> None:
    subnets = boto3.Session(profile_name=other_profile).client("ec2", region_name=REGION, endpoint_url=cloud.url)
    made = subnets.create_vpc(CidrBlock="10.90.0.0/16")["Vpc"]["VpcId"]
    subnet = subnets.create_subnet(VpcId=made, CidrBlock="10.90.0.0/24", AvailabilityZone="us-east-1a")
    subnet = subnet["Subnet"]["SubnetId"]
    image = subnets.register_image(Name="plain", RootDeviceName="/dev/sda1", Architecture="x86_64")["ImageId"]
    provider = cloud.provider(profile=other_profile, subnet=[subnet], images={"plain": {"image": image}})
    reports = cloud.create("master", provider=provider)
    assert reports.errors == {}
    assert reports.records["master"].attributes["account"] == OTHER_ACCOUNT
    assert cloud.instances() == []
    there = ec2_backends[OTHER_ACCOUNT][REGION].all_instances()
    assert [one.id for one in there] == [reports.records["master"].id]


def test_an_account_that_can_not_be_told_refuses_nothing_that_is_there(cloud: Cloud, service: Reports) -> None:
    cloud.api.faults.append(Fault("GetCallerIdentity", "InvalidAction", times=9))
    cloud.provider().check(cloud.identity(), list(service.records.values()))
    made = Reports()
    cloud.provider().create(cloud.identity(), [NodeRequest("edge")], made)
    assert made.errors == {}


def test_an_instance_that_is_not_there_is_not_forgotten_while_the_account_is_unknown(
    cloud: Cloud, service: Reports
) -> None:
    cloud.api.faults.append(Fault("GetCallerIdentity", "InvalidAction", times=9))
    records = [*service.records.values()]
    elsewhere = cloud.provider(region=ELSEWHERE)
    hidden = [replace(record, id="i-0123456789abcdef0") for record in records]
    with pytest.raises(InvalidError, match=r"was not found\. It was created in AWS account"):
        cloud.provider().describe(cloud.identity(), hidden)
    with pytest.raises(InvalidError, match=f"is in region {ELSEWHERE}"):
        elsewhere.check(cloud.identity(), records)
