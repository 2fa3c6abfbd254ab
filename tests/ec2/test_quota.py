"""Tests of the account's vCPU quotas: machines that exceed one are refused with the numbers before anything is made."""

from __future__ import annotations

import pytest

from dtk.errors import DtkError
from tests.ec2.cloud import Cloud, Reports
from tests.support.ec2 import Fault

STANDARD = "L-1216C47A"
MAKING = ("ImportKeyPair", "CreateSecurityGroup", "RunInstances")


def test_more_vcpus_than_the_quota_leaves_are_refused_with_the_numbers(cloud: Cloud) -> None:
    cloud.api.quotas[STANDARD] = 8.0
    assert cloud.create("master", size="xlarge").errors == {}
    cloud.api.calls.clear()
    with pytest.raises(DtkError) as refused:
        cloud.create("slaves:1", "slaves:2", size="xlarge")
    assert refused.value.message == (
        "2 nodes need 8 vCPUs of standard instances (A, C, D, H, I, M, R, T, Z), and the account's quota in us-east-1"
        " leaves 4: 4 of 8 are in use (L-1216C47A)"
    )
    assert (
        "aws service-quotas request-service-quota-increase --service-code ec2 --quota-code L-1216C47A"
        " --desired-value 12 --region us-east-1" in refused.value.hint
    )
    assert [action for action, _ in cloud.api.calls if action in MAKING] == []
    assert cloud.create("slaves:1", size="xlarge").errors == {}, "exactly as much as the quota leaves"


def test_stopped_and_ended_machines_and_other_families_use_none_of_a_quota(cloud: Cloud) -> None:
    cloud.api.quotas[STANDARD] = 4.0
    made = cloud.create("a", "b", size="small")
    other = cloud.create("gpu", instance_type="g4dn.xlarge")
    assert other.errors == {}
    with pytest.raises(DtkError, match="node 'c' needs 2 vCPUs of standard instances"):
        cloud.create("c", size="small")
    cloud.provider().stop(cloud.identity(), [made.records["a"]], Reports())
    assert cloud.create("c", size="small").errors == {}
    cloud.api.quotas["L-DB2E81BA"] = 4.0
    with pytest.raises(DtkError, match=r"vCPUs of G and VT instances, .* leaves 0: 4 of 4"):
        cloud.create("gpu2", instance_type="g4dn.xlarge")


def test_spot_machines_are_not_refused_because_they_count_against_another_quota(cloud: Cloud) -> None:
    cloud.api.quotas[STANDARD] = 0.0
    assert cloud.create("master", spot=True).errors == {}


@pytest.mark.parametrize("action", ["GetServiceQuota", "DescribeInstanceTypes"])
def test_without_the_permission_the_check_is_left_out(cloud: Cloud, action: str) -> None:
    cloud.api.quotas[STANDARD] = 0.0
    cloud.api.faults.append(Fault(action, "AccessDeniedException", "You are not authorized", status=403, times=9))
    made = cloud.create("master")
    assert made.errors == {}
    notes = [known.get("quota_unchecked", "") for _, known in made.recorded if known]
    if action == "GetServiceQuota":
        assert all("AWS does not allow servicequotas:GetServiceQuota" in note for note in notes)
        assert notes


def test_a_private_endpoint_of_ec2_alone_leaves_the_check_out_without_a_call(cloud: Cloud) -> None:
    provider = cloud.provider(endpoint_url={"ec2": cloud.url, "sts": cloud.url})
    made = cloud.create("master", provider=provider)
    assert made.errors == {}
    assert cloud.api.called("GetServiceQuota") == []
    assert "no endpoint of service-quotas" in made.recorded[0][1]["quota_unchecked"]


def test_a_limit_that_ec2_itself_reports_comes_with_the_command_that_raises_it(cloud: Cloud) -> None:
    cloud.api.faults.append(Fault("RunInstances", "VcpuLimitExceeded", "You have requested more vCPU capacity"))
    refused = cloud.create("master").errors["master"]
    assert "You have requested more vCPU capacity" in refused.message
    assert "aws service-quotas request-service-quota-increase" in refused.hint
