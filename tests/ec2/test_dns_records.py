"""Tests of Route 53 records of nodes and groups."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from dtk.__main__ import run
from dtk.nodes.ec2 import dns_records
from dtk.nodes.ec2.dns_names import dns_texts
from dtk.nodes.provider import Connection, Membership, NodeRecord
from tests.ec2.balanced import Balanced, apply, changing, shown
from tests.ec2.cloud import REGION, Cloud, Reports
from tests.support.ec2 import Fault


def route53(cloud: Cloud) -> Any:
    return boto3.client("route53", region_name=REGION, endpoint_url=cloud.url)


@pytest.fixture
def zone(cloud: Cloud) -> str:
    """Return the id of the zone ``example.org.``."""
    return str(route53(cloud).create_hosted_zone(Name="example.org.", CallerReference="1")["HostedZone"]["Id"])


def records(cloud: Cloud, zone: str, type_: str = "A") -> dict[str, list[str]]:
    """Return the values of a type's records in a zone, by name."""
    found = route53(cloud).list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {
        one["Name"]: sorted(value["Value"] for value in one["ResourceRecords"]) for one in found if one["Type"] == type_
    }


def put(cloud: Cloud, zone: str, action: str, name: str, value: str) -> None:
    """Change a record as somebody else does."""
    record = {"Name": name, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": value}]}
    batch = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
    route53(cloud).change_resource_record_sets(HostedZoneId=zone, ChangeBatch=batch)


def named(made: Reports, **wish: Any) -> list[Membership]:
    """Return the nodes with the names that they ask for."""
    given = {"zone": "example.org", **wish}
    return [Membership(record, tuple(dns_texts(given, node))) for node, record in made.records.items()]


def address(made: Reports, node: str) -> str:
    return str(made.records[node].attributes["private_address"])


def test_one_call_makes_the_records_of_all_nodes_and_repeating_it_changes_nothing(cloud: Cloud, zone: str) -> None:
    made = cloud.create("db:1", "db:2", "edge")
    cloud.api.calls.clear()
    reports = Reports()
    cloud.provider().register(cloud.identity(), named(made, name="{node}.db"), reports)
    assert (reports.errors, sorted(reports.records)) == ({}, ["db:1", "db:2", "edge"])
    assert changing(cloud) == ["ListHostedZonesByName", *["ListResourceRecordSets"] * 3, "ChangeResourceRecordSets"]
    expected = {f"{node.replace(':', '-')}.db.example.org.": [address(made, node)] for node in ("db:1", "db:2", "edge")}
    assert records(cloud, zone) == expected
    cloud.api.calls.clear()
    cloud.provider().register(cloud.identity(), named(made, name="{node}.db"), Reports())
    assert "ChangeResourceRecordSets" not in changing(cloud)
    cloud.provider().deregister(cloud.identity(), named(made, name="{node}.db"), Reports())
    assert records(cloud, zone) == records(cloud, zone, "TXT") == {}


def test_members_share_a_name_and_each_takes_out_its_own_address(cloud: Cloud, zone: str) -> None:
    made = cloud.create("db:1", "db:2", "db:3")
    provider, whole = cloud.provider(), named(made, name="{group}", ttl=30)
    provider.register(cloud.identity(), whole[:2], Reports())
    provider.register(cloud.identity(), whole[2:], Reports())
    assert records(cloud, zone) == {"db.example.org.": sorted(address(made, node) for node in made.records)}
    provider.deregister(cloud.identity(), whole[:1], Reports())
    assert records(cloud, zone) == {"db.example.org.": sorted(address(made, node) for node in ("db:2", "db:3"))}


def test_a_name_for_all_names_is_found_again_as_route_53_writes_it(cloud: Cloud, zone: str) -> None:
    made = cloud.create("web:1")
    provider, whole = cloud.provider(), named(made, name="*.web")
    provider.register(cloud.identity(), whole, Reports())
    assert records(cloud, zone) == {"\\052.web.example.org.": [address(made, "web:1")]}
    cloud.api.calls.clear()
    again = Reports()
    provider.register(cloud.identity(), whole, again)
    assert (again.errors, "ChangeResourceRecordSets" in changing(cloud)) == ({}, False)
    provider.deregister(cloud.identity(), whole, Reports())
    assert records(cloud, zone) == {}


def test_changes_are_made_in_as_many_calls_as_their_length_needs(cloud: Cloud, zone: str) -> None:
    nodes = [f"{group}:{number}" for group in ("db", "web", "api") for number in range(1, 111)]
    made = Reports()
    for number, node in enumerate(nodes):
        own = {"private_address": f"10.80.{number // 250}.{number % 250}"}
        made.records[node] = NodeRecord(node, f"i-{number}", "running", Connection(""), own)
    reports = Reports()
    cloud.provider().register(cloud.identity(), named(made, name="{group}"), reports)
    assert reports.errors == {}
    assert {name: len(values) for name, values in records(cloud, zone).items()} == {
        f"{group}.example.org.": 110 for group in ("db", "web", "api")
    }
    assert len(cloud.api.called("ChangeResourceRecordSets")) == 2


def test_records_of_others_are_never_changed(cloud: Cloud, zone: str) -> None:
    put(cloud, zone, "CREATE", "edge.example.org.", "203.0.113.9")
    made = cloud.create("edge", "db:1")
    reports = Reports()
    cloud.provider().register(cloud.identity(), named(made), reports)
    assert list(reports.records) == ["db:1"]
    told = "edge.example.org. has a record that dtk did not create for this service: A 203.0.113.9"
    assert reports.errors["edge"].message == told
    # Neither are those of another service, nor those of this one that somebody changed.
    other = Reports()
    cloud.provider().register(cloud.identity("another"), named(made), other)
    assert sorted(other.errors) == ["db:1", "edge"]
    put(cloud, zone, "UPSERT", "db-1.example.org.", "203.0.113.8")
    changed = Reports()
    cloud.provider().deregister(cloud.identity(), named(made), changed)
    assert "A 203.0.113.8" in changed.errors["db:1"].message
    assert list(changed.records) == ["edge"], "what is another's stays, and holds nobody up"
    assert records(cloud, zone) == {"db-1.example.org.": ["203.0.113.8"], "edge.example.org.": ["203.0.113.9"]}


def test_a_change_is_awaited_until_it_is_published_but_not_for_ever(
    cloud: Cloud, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_records, "POLL_SECONDS", 0.05)
    made = cloud.create("edge")
    cloud.api.shown["ChangeResourceRecordSets"] = lambda text: text.replace(b"INSYNC", b"PENDING")
    cloud.provider().register(cloud.identity(), named(made), Reports())
    assert len(cloud.api.called("GetChange")) == 1
    monkeypatch.setattr(dns_records, "PUBLISHING_SECONDS", 0.2)
    cloud.api.shown["GetChange"] = cloud.api.shown["ChangeResourceRecordSets"]
    reports = Reports()
    cloud.provider().deregister(cloud.identity(), named(made), reports)
    assert "has not published the change" in reports.errors["edge"].message


def test_a_zone_that_does_not_exist_or_may_not_be_changed_is_told_and_one_that_is_gone_holds_nobody_up(
    cloud: Cloud, zone: str
) -> None:
    made = cloud.create("edge")
    reports = Reports()
    cloud.provider().register(cloud.identity(), named(made, zone="example.com."), reports)
    assert reports.errors["edge"].message == "Route 53 has no zone example.com."
    cloud.api.faults.append(Fault("ChangeResourceRecordSets", "AccessDenied", "not authorized", status=403))
    cloud.provider().register(cloud.identity(), named(made), reports)
    assert "the permission route53:ChangeResourceRecordSets is missing" in reports.errors["edge"].message
    assert "add the statement OptionalDnsRecords of the policy in docs/ec2.md" in reports.errors["edge"].hint
    assert "until then, the records stay as they are" in reports.errors["edge"].hint
    gone = Reports()
    cloud.provider().deregister(cloud.identity(), named(made, zone="example.com."), gone)
    assert list(gone.records) == ["edge"]
    cloud.provider().register(
        cloud.identity(), named(made, zone=zone.rpartition("/")[2], name="edge.example.org."), gone
    )
    assert list(records(cloud, zone)) == ["edge.example.org."], "a zone may be named by its id"


def test_records_follow_the_nodes_of_a_service_and_go_with_them(
    service_on_ssh: Balanced, zone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, made = service_on_ssh.cloud, service_on_ssh.made
    assert run(["set-attribute", "spark1", "web/dns", "{zone: example.org., name: '{node}.web'}"]) == 0
    plan = shown(capsys, "plan", "spark1")
    assert "register_node web:1  (into web-1.web.example.org)" in plan
    assert apply() == 0
    whole = {f"web-{number}.web.example.org.": [address(made, f"web:{number}")] for number in (1, 2)}
    assert records(cloud, zone) == whole
    assert shown(capsys, "plan", "spark1").startswith("Nothing to do")
    # A node keeps its name while its components change.
    assert run(["set-attribute", "spark1", "web/bare::app/version", "2"]) == 0
    assert "register_node" not in shown(capsys, "plan", "spark1")
    # Another TTL is one change, in which the names always exist.
    assert apply() == 0
    cloud.api.calls.clear()
    assert run(["set-attribute", "spark1", "web/dns", "{zone: example.org., name: '{node}.web', ttl: 30}"]) == 0
    assert apply() == 0
    assert [call for call in changing(cloud) if call.startswith("Change")] == ["ChangeResourceRecordSets"]
    assert records(cloud, zone) == whole
    # A name that can't be left is a failed step, and the next plan has it.
    assert run(["set-attribute", "spark1", "web/dns", "{zone: example.org., name: '{node}.new'}"]) == 0
    leaves = lambda call: "DELETE" in str(call)  # noqa: E731
    cloud.api.faults.append(Fault("ChangeResourceRecordSets", "AccessDenied", "not authorized", 403, suits=leaves))
    assert apply() == 1
    assert len(records(cloud, zone)) == 4
    assert "the permission route53:ChangeResourceRecordSets is missing" in shown(capsys, "task-status", "spark1")
    assert run(["set-attribute", "spark1", "web/dns", "{zone: example.org., name: '{node}.web'}"]) == 0
    assert apply() == 0
    assert records(cloud, zone) == whole
    assert run(["stop", "spark1", "web:1"]) == 0
    assert list(records(cloud, zone)) == ["web-2.web.example.org."]
    assert run(["start", "spark1", "web:1"]) == 0
    assert records(cloud, zone) == whole
    cloud.api.calls.clear()
    assert run(["delete-and-destroy", "spark1", "--yes"]) == 0
    assert (records(cloud, zone), cloud.instances()) == ({}, [])
    assert len(cloud.api.called("ChangeResourceRecordSets")) == 1


def test_a_refresh_finds_changed_addresses_and_what_remains_of_machines_that_are_gone(
    service_on_ssh: Balanced, zone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud, made = service_on_ssh.cloud, service_on_ssh.made

    def give_address(node: str) -> str:
        allocated = cloud.client().allocate_address(Domain="vpc")
        cloud.client().associate_address(AllocationId=allocated["AllocationId"], InstanceId=made.records[node].id)
        return str(allocated["PublicIp"])

    first, second = give_address("web:1"), give_address("web:2")
    assert run(["set-attribute", "spark1", "web/dns", "{zone: example.org., address: public}"]) == 0
    assert apply("--refresh") == 0
    assert records(cloud, zone) == {"web-1.example.org.": [first], "web-2.example.org.": [second]}
    other = give_address("web:1")
    assert "register_node web:1  (into web-1.example.org)" in shown(capsys, "plan", "spark1", "--refresh")
    assert apply("--refresh") == 0
    assert records(cloud, zone) == {"web-1.example.org.": [other], "web-2.example.org.": [second]}
    cloud.client().terminate_instances(InstanceIds=[made.records["web:2"].id])
    assert run(["set-attribute", "spark1", "web/cardinality", "1"]) == 0
    assert apply("--refresh") == 0
    assert records(cloud, zone) == {"web-1.example.org.": [other]}
    cloud.client().terminate_instances(InstanceIds=[made.records["web:1"].id])

    kinds = ("deregister_node", "create_node", "configure_node", "register_node")
    stages = json.loads(shown(capsys, "plan", "spark1", "--refresh", "--json"))["stages"]
    leaves = [leaf for stage in stages for step in stage["steps"] for leaf in step.get("steps", [step])]
    assert [(leaf["node"], leaf["type"]) for leaf in leaves] == [("web:1", kind) for kind in kinds]
