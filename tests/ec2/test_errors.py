"""What AWS refuses, as people meet it on the command line: the reason, what to do, and no traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dtk.__main__ import run
from dtk.nodes.ec2.firewall import find_groups
from dtk.nodes.ec2.problems import AwsError
from tests.ec2.cloud import Cloud, Reports, nodes_in_state, write_target
from tests.support.ec2 import Fault

RunCommand = Callable[..., str]


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Run a command that fails; return what it says."""

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
    """A service whose next apply makes a node."""
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
    monkeypatch.setattr("dtk.nodes.ec2.removal._GROUP_PAUSE_SECONDS", 0.0)
    client = cloud.client()
    (found,) = find_groups(cloud.provider().aws, cloud.identity())
    group = client.describe_security_groups(GroupIds=[found["GroupId"]])["SecurityGroups"][0]
    other = client.create_security_group(GroupName="lb", Description="x", VpcId=group["VpcId"])["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "UserIdGroupPairs": [{"GroupId": group["GroupId"]}]}
    client.authorize_security_group_ingress(GroupId=other, IpPermissions=[rule])
    cloud.api.faults.append(Fault("DeleteSecurityGroup", "DependencyViolation", times=99))
    for record in service.records.values():
        client.terminate_instances(InstanceIds=[record.id])
    with pytest.raises(AwsError) as raised:
        cloud.provider().terminate(cloud.identity(), list(service.records.values()), lambda *_: None)
    assert f"security group {group['GroupId']} can't be deleted: rules of {other} name it" in raised.value.message
    assert "then the same command again" in raised.value.hint
