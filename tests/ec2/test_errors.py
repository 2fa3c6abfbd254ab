"""Tests of AWS errors on the command line: each gives the reason and what to do, without a traceback."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from dtk.__main__ import run
from dtk.errors import DtkError
from dtk.nodes.ec2.firewall import find_groups
from dtk.nodes.ec2.problems import AwsError
from tests.ec2.cloud import Cloud, Reports, nodes_in_state, write_target
from tests.support.ec2 import Fault

RunCommand = Callable[..., str]


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Return a function that runs a command, expects it to fail and returns its output."""

    def say(*words: str) -> str:
        capsys.readouterr()
        assert run([*words]) == 1
        captured = capsys.readouterr()
        text = " ".join((captured.out + captured.err).split())
        assert "Traceback" not in text
        return text

    return say


@pytest.fixture
def new(cloud: Cloud, service: Reports) -> Cloud:
    """Return a cloud whose service's next apply creates a node."""
    assert run(["set-attribute", "spark1", "slaves/cardinality", "3"]) == 0
    return cloud


@pytest.mark.usefixtures("new")
@pytest.mark.parametrize("words", [("apply", "spark1", "--yes"), ("plan", "spark1", "--refresh")])
def test_no_credentials(monkeypatch: pytest.MonkeyPatch, output: RunCommand, words: tuple[str, ...]) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    text = output(*words)
    assert "there are no AWS credentials" in text
    assert "AWS_PROFILE" in text


def test_a_profile_that_does_not_exist(new: Cloud, output: RunCommand) -> None:
    write_target(new, profile="nobody")
    text = output("apply", "spark1", "--yes")
    assert "there are no AWS credentials" in text
    assert "nobody" in text


CONFIGURATIONS = {
    "sso": (
        "[profile p]\nsso_session = s\nsso_account_id = 111122223333\nsso_role_name = dev\n"
        "[sso-session s]\nsso_region = us-east-1\nsso_start_url = https://example.awsapps.com/start\n",
        "the AWS login has expired or does not exist",
        "aws sso login",
    ),
    "loop": (
        "[profile p]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = q\n"
        "[profile q]\nrole_arn = arn:aws:iam::1:role/b\nsource_profile = p\n",
        "the AWS configuration can't be used: Infinite loop",
        "correct ~/.aws/config",
    ),
    "no source": (
        "[profile p]\nrole_arn = arn:aws:iam::1:role/a\nsource_profile = nobody\n",
        "the AWS configuration can't be used",
        "correct ~/.aws/config",
    ),
    "process": (
        "[profile p]\ncredential_process = /bin/false\n",
        "there are no AWS credentials",
        "credential_process by hand",
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_credentials_that_can_not_be_had_are_never_taken_for_the_network(
    new: Cloud, output: RunCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """If these errors counted as network errors, the check of the account would be skipped."""
    content, message, hint = CONFIGURATIONS[name]
    (tmp_path / "config").write_text(content)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("HOME", str(tmp_path))
    write_target(new, profile="p")
    with pytest.raises(DtkError) as raised:
        new.provider(profile="p").aws.account  # noqa: B018 - reading the property is the test
    assert message in raised.value.message
    text = output("plan", "spark1", "--refresh")
    assert message in text
    assert hint in text
    assert "check the network" not in text


@pytest.mark.parametrize(("minutes", "direction"), [(12, "behind"), (-9, "ahead")])
def test_a_clock_that_is_wrong_is_told_as_such(new: Cloud, output: RunCommand, minutes: int, direction: str) -> None:
    theirs = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    new.api.faults.append(Fault("*", "AuthFailure", "not able to validate", status=401, times=99, date=theirs))
    text = output("plan", "spark1", "--refresh")
    found = re.search(r"this machine's clock is (\d+) min (ahead|behind), and AWS refuses its requests", text)
    assert found, text
    assert found[2] == direction
    assert abs(int(found[1]) - abs(minutes)) <= 2
    assert "timedatectl set-ntp true" in text


def test_an_explicit_deny_is_told_with_the_line_that_decodes_it(new: Cloud, output: RunCommand) -> None:
    message = (
        "You are not authorized to perform this operation. User: arn:aws:iam::1:user/x is not authorized to perform:"
        " ec2:RunInstances on resource: arn:aws:ec2:us-east-1:1:instance/* with an explicit deny in a service control"
        " policy. Encoded authorization failure message: 4Gt-encoded"
    )
    new.api.faults.append(Fault("RunInstances", "UnauthorizedOperation", message, status=403, times=99))
    text = output("apply", "spark1", "--yes")
    assert "a policy denies ec2:RunInstances explicitly" in text
    assert "aws sts decode-authorization-message --encoded-message 4Gt-encoded" in text
    assert "is missing" not in text


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_an_expired_token(new: Cloud, output: RunCommand, code: str) -> None:
    new.api.faults.append(Fault("*", code, "The security token included in the request is expired", times=99))
    for words in (("plan", "spark1", "--refresh"), ("apply", "spark1", "--yes")):
        text = output(*words)
        assert "AWS does not accept the credentials: The security token included in the request is expired" in text
        assert "aws sso login" in text
    assert list(nodes_in_state(new).values()).count("running") == 3
    assert len(new.instances()) == 3


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("RunInstances", ("apply", "spark1", "--yes")),
        ("DescribeImages", ("apply", "spark1", "--yes")),
        ("DescribeInstances", ("plan", "spark1", "--refresh")),
        ("StopInstances", ("stop", "spark1")),
        ("TerminateInstances", ("delete-and-destroy", "spark1", "--yes")),
    ],
)
def test_a_permission_that_is_missing_is_named(
    new: Cloud, output: RunCommand, action: str, words: tuple[str, ...]
) -> None:
    message = "You are not authorized to perform this operation. Encoded authorization failure message: 4Gt"
    new.api.faults.append(Fault(action, "UnauthorizedOperation", message, status=403, times=99))
    text = output(*words)
    assert f"the permission ec2:{action} is missing" in text
    assert "docs/ec2.md" in text
    assert "4Gt" not in text
    assert len(new.instances()) == 3


def test_a_security_group_that_others_use_is_told_with_who_they_are(
    cloud: Cloud, service: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dtk.nodes.ec2.removal.PAUSE_SECONDS", 0.0)
    monkeypatch.setattr("dtk.nodes.ec2.removal.PATIENCE_SECONDS", 0.1)
    client = cloud.client()
    (found,) = find_groups(cloud.provider().aws, cloud.identity())
    group = client.describe_security_groups(GroupIds=[found["GroupId"]])["SecurityGroups"][0]
    other = client.create_security_group(GroupName="lb", Description="x", VpcId=group["VpcId"])["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}
    client.authorize_security_group_ingress(GroupId=other, IpPermissions=[rule])
    cloud.api.faults.append(Fault("DeleteSecurityGroup", "DependencyViolation", times=99))
    for record in service.records.values():
        client.terminate_instances(InstanceIds=[record.id])
    gone = Reports()
    cloud.provider().terminate(cloud.identity(), list(service.records.values()), gone)
    assert {record.status for record in gone.records.values()} == {"terminated"}, "gone, whatever becomes of the group"
    with pytest.raises(AwsError) as raised:
        cloud.provider().clean_up(cloud.identity(), lambda: True)
    assert f"security group {group['GroupId']} can't be deleted: rules of {other} refer to it" in raised.value.message
    assert "then repeat the command" in raised.value.hint


def test_nodes_that_are_gone_are_recorded_so_and_what_is_left_goes_with_the_same_command(
    cloud: Cloud, service: Reports, output: RunCommand
) -> None:
    """Check that a destroy that fails to delete the security group can be completed later.

    It used to leave nodes in the state that no command could terminate.
    """
    cloud.api.faults.append(Fault("DeleteSecurityGroup", "UnauthorizedOperation", "You are not", status=403, times=99))
    text = output("delete-and-destroy", "spark1", "--yes")
    assert "the permission ec2:DeleteSecurityGroup is missing" in text
    assert cloud.instances() == []
    assert nodes_in_state(cloud) == {}
    assert find_groups(cloud.provider().aws, cloud.identity())
    # The group stays in use a little longer, as the network interfaces of instances do.
    cloud.api.faults[:] = [Fault("DeleteSecurityGroup", "DependencyViolation", times=1)]
    assert run(["delete-and-destroy", "spark1", "--yes", "--lock-wait", "60s"]) == 0
    assert find_groups(cloud.provider().aws, cloud.identity()) == []
    assert not cloud.workspace.service_file("spark1").exists()
