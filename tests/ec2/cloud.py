"""An EC2 in this process, the provider of a target that points to it, and what both keep."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from ruamel.yaml import YAML

from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.ec2.description import EC2
from dtk.nodes.ec2.provider import Ec2Provider
from dtk.nodes.provider import NodeRecord, NodeRequest, ServiceIdentity
from dtk.nodes.records import state_of
from dtk.state.model import State
from dtk.state.store import load_state, save_state
from dtk.state.workspace import Workspace
from tests.support.ec2 import Ec2

REGION, ELSEWHERE = "us-east-1", "eu-west-1"
WORKSPACE = "11111111-2222-4333-8444-555555555555"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": ""}


@dataclass
class Cloud:
    """An EC2 with a network of two subnets and an image."""

    api: Ec2
    url: str
    workspace: Workspace
    subnets: list[str] = field(default_factory=list)
    image: str = ""
    task: int = 1

    def client(self) -> Any:
        """A client of the test's own."""
        return boto3.client("ec2", region_name=REGION, endpoint_url=self.url)

    def target(self, **settings: Any) -> Target:
        """The target as dtk.yaml would have it."""
        given = {
            "region": REGION,
            "endpoint_url": self.url,
            "subnet": self.subnets,
            "addresses": "private",
            "ssh_from": ["10.80.0.1/32"],
            "images": {"plain": {"image": self.image, "user": "admin"}},
            "defaults": {"image": "plain"},
            "boot_timeout": 30,
        }
        return Target("cloud", EC2, {**given, **settings})

    def provider(self, **settings: Any) -> Ec2Provider:
        """A provider; as new as in another process."""
        return Ec2Provider(self.workspace, self.target(**settings))

    def identity(self, service: str = "spark1") -> ServiceIdentity:
        """A service whose task it is."""
        lineage = str(uuid.uuid5(uuid.NAMESPACE_DNS, service))
        return ServiceIdentity(service, lineage, self.workspace.service_folder(service), self.task, WORKSPACE)

    def create(self, *nodes: str, provider: Ec2Provider | None = None, **attributes: Any) -> Reports:
        """Create nodes; return what was reported."""
        reports = Reports()
        requests = [NodeRequest(node, attributes) for node in nodes]
        (provider or self.provider()).create(self.identity(), requests, reports, reports.record)
        return reports

    def instances(self) -> list[Any]:
        """The instances that moto has and that are not ended, whatever dtk was told."""
        found = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].all_instances()
        return [instance for instance in found if instance.state != "terminated"]

    def volumes(self) -> list[Any]:
        """The volumes that moto has."""
        return list(ec2_backends[DEFAULT_ACCOUNT_ID][REGION].volumes.values())


class Reports:
    """What a provider reported and recorded."""

    def __init__(self) -> None:
        self.records: dict[str, NodeRecord] = {}
        self.errors: dict[str, DtkError] = {}
        self.recorded: list[tuple[list[str], dict[str, str]]] = []

    def __call__(self, node: str, outcome: NodeRecord | DtkError) -> None:
        if isinstance(outcome, DtkError):
            self.errors[node] = outcome
        else:
            self.records[node] = outcome

    def record(self, nodes: Any, known: Any) -> None:
        self.recorded.append((list(nodes), dict(known)))


def write_target(cloud: Cloud, **settings: Any) -> None:
    """Write dtk.yaml with the target, as people would."""
    given = json.loads(json.dumps({"type": "ec2", **cloud.target().settings, **settings}))
    # None takes a key away.
    target = {name: value for name, value in given.items() if value is not None}
    with cloud.workspace.file.open("w") as file:
        YAML().dump({"format_version": 1, "workspace": WORKSPACE, "targets": {"cloud": target}}, file)


def save(cloud: Cloud, made: Reports) -> None:
    """Put what was reported into the state, as a task would that has met the machines."""
    nodes = {node: state_of(record) for node, record in made.records.items()}
    nodes = {
        node: replace(known, attributes={"home": "/home/admin", **known.attributes}) for node, known in nodes.items()
    }
    save_state(cloud.workspace.state_file("spark1"), State("spark1", cloud.identity().lineage, 1, nodes))


def nodes_in_state(cloud: Cloud) -> dict[str, str]:
    """The nodes that the state knows, with their status."""
    state = load_state(cloud.workspace.state_file("spark1"))
    return {name: node.status for name, node in state.nodes.items()} if state else {}
