"""A mock EC2 in this process, providers for a target that uses it, and helpers to inspect both."""

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
from dtk.nodes.ec2.wish import machine_differences
from dtk.nodes.provider import MachineChange, NodeRecord, NodeRequest, ServiceIdentity
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
    """A mock EC2 with a network of two subnets and an image."""

    api: Ec2
    url: str
    workspace: Workspace
    subnets: list[str] = field(default_factory=list)
    image: str = ""
    task: int = 1

    def client(self) -> Any:
        """Return the test's own client for the mock EC2."""
        return boto3.client("ec2", region_name=REGION, endpoint_url=self.url)

    def target(self, **settings: Any) -> Target:
        """Return the target as dtk.yaml would define it."""
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
        """Return a new provider, without anything cached, as in a new process."""
        return Ec2Provider(self.workspace, self.target(**settings))

    def identity(self, service: str = "spark1") -> ServiceIdentity:
        """Return a service's identity with the current task number."""
        lineage = str(uuid.uuid5(uuid.NAMESPACE_DNS, service))
        return ServiceIdentity(service, lineage, self.workspace.service_folder(service), self.task, WORKSPACE)

    def create(self, *nodes: str, provider: Ec2Provider | None = None, **attributes: Any) -> Reports:
        """Create nodes and return what the provider reported."""
        reports = Reports()
        requests = [NodeRequest(node, attributes) for node in nodes]
        (provider or self.provider()).create(self.identity(), requests, reports, reports.record)
        return reports

    def instances(self) -> list[Any]:
        """Return moto's instances that are not terminated, independent of what the API told dtk."""
        found = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].all_instances()
        return [instance for instance in found if instance.state != "terminated"]

    def volumes(self) -> list[Any]:
        """Return moto's volumes."""
        return list(ec2_backends[DEFAULT_ACCOUNT_ID][REGION].volumes.values())


class Reports:
    """Collects what a provider reports and records."""

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


def changed(cloud: Cloud, made: Reports, how: str, **attributes: Any) -> Reports:
    """Call the provider's method ``how`` (resize or modify_volumes) for all created nodes. Return what it reported."""
    reports = Reports()
    changes = [MachineChange(record, attributes) for record in made.records.values()]
    getattr(cloud.provider(), how)(cloud.identity(), changes, reports)
    return reports


def calls(cloud: Cloud) -> list[str]:
    """Return the calls that change something."""
    return [name for name, _ in cloud.api.calls if not name.startswith("Describe")]


def differences(cloud: Cloud, made: Reports, target: Target | None = None, **attributes: Any) -> list[str]:
    """Return what a plan says about master's instance when the node requests these attributes."""
    target = target or cloud.target()
    known = made.records["master"].attributes
    found = machine_differences(target, target.description.machine_attributes(target, attributes), known)
    return [f"{one.how}: {one.what}" for one in found]


def write_target(cloud: Cloud, **settings: Any) -> None:
    """Write a dtk.yaml with the target, as users would. A setting of None is left out."""
    given = json.loads(json.dumps({"type": "ec2", **cloud.target().settings, **settings}))
    # None removes a setting.
    target = {name: value for name, value in given.items() if value is not None}
    with cloud.workspace.file.open("w") as file:
        YAML().dump({"format_version": 1, "workspace": WORKSPACE, "targets": {"cloud": target}}, file)


def save(cloud: Cloud, made: Reports) -> None:
    """Write the reported nodes to the state, as a task does that has connected to them."""
    nodes = {node: state_of(record) for node, record in made.records.items()}
    nodes = {
        node: replace(known, attributes={"home": "/home/admin", **known.attributes}) for node, known in nodes.items()
    }
    save_state(cloud.workspace.state_file("spark1"), State("spark1", cloud.identity().lineage, 1, nodes))


def nodes_in_state(cloud: Cloud) -> dict[str, str]:
    """Return the status of each node in the state."""
    state = load_state(cloud.workspace.state_file("spark1"))
    return {name: node.status for name, node in state.nodes.items()} if state else {}
