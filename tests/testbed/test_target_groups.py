"""A new instance behind a load balancer: it boots, is configured, and only then enters its target group."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any

import boto3

from tests.testbed.site import SERVICE, Site

_TOLD = ("node.changed", "operation.finished")


def new_group(site: Site, name: str) -> None:
    bed, secrets = site.bed, {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    vpc = bed.client().describe_subnets(SubnetIds=[bed.subnet])["Subnets"][0]["VpcId"]
    client = boto3.client("elbv2", region_name=bed.region, endpoint_url=bed.url, **secrets)
    client.create_target_group(Name=name, Protocol="HTTP", Port=8000, VpcId=vpc, TargetType="instance")


def history(site: Site, node: str) -> list[str]:
    """Return what happened to a node's machine in the first task, and ``operations`` for the work on it."""
    log = Path(site.dtk.root) / ".dtk" / "services" / SERVICE / "tasks" / "1" / "events.jsonl"
    events: list[dict[str, Any]] = [json.loads(line) for line in log.read_text().splitlines()]
    own = [event for event in events if event.get("node") == node]
    told = [str(event.get("change", "operations")) for event in own if event["type"] in _TOLD]
    return [name for name, _ in groupby(told)]


def test_a_new_instance_enters_its_target_group_after_its_work(site: Site) -> None:
    new_group(site, "app")
    changes = ("slaves/target_groups=[app]", "slaves/cardinality=1")
    site.dtk.run("deploy", "acme:site/cluster", SERVICE, *(word for one in changes for word in ("--set", one)))
    assert history(site, "slaves:1") == ["requested", "created", "operations", "registered"]
    (call,) = site.bed.api.called("RegisterTargets")
    assert call["Targets.member.1.Id"] == site.ids()["slaves:1"]
