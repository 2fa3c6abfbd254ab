"""An EC2 in this process, and the provider of a target that points to it."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.loaders import JSONFileLoader
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from ruamel.yaml import YAML
from testbed.ec2 import Ec2

from dtk.__main__ import run
from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.nodes.ec2 import address, instances
from dtk.nodes.ec2.provider import Ec2Provider
from dtk.nodes.provider import NodeRecord, NodeRequest, ServiceIdentity
from dtk.nodes.records import state_of
from dtk.state.model import State
from dtk.state.store import load_state, save_state
from dtk.state.workspace import Workspace

REGION = "us-east-1"
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
        return Target("cloud", "ec2", {**given, **settings})

    def provider(self, **settings: Any) -> Ec2Provider:
        """A provider; as new as in another process."""
        return Ec2Provider(self.workspace, self.target(**settings))

    def identity(self, service: str = "spark1") -> ServiceIdentity:
        """A service whose task it is."""
        lineage = f"00000000-0000-0000-0000-{service:0>12}"
        return ServiceIdentity(service, lineage, self.workspace.service_folder(service), self.task)

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


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """Botocore would read EC2's model, megabytes of JSON, for every provider of every test."""
    load = functools.cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An EC2 of the test's own."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    # Moto would load 1300 images for every test.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    # An EC2 that needs tenths of a second is looked at as often.
    monkeypatch.setattr(instances, "_FIRST_PAUSE_SECONDS", 0.1)
    (tmp_path / "dtk.yaml").write_text("format_version: 1\n")
    for backends in ec2_backends.values():
        for backend in backends.values():
            backend.reset()
    api = Ec2(seconds=0.3)
    made = Cloud(api, api.start(), Workspace(tmp_path))
    client = made.client()
    vpc = client.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    for number, zone in enumerate("ab"):
        subnet = client.create_subnet(VpcId=vpc, CidrBlock=f"10.80.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
        made.subnets.append(subnet["Subnet"]["SubnetId"])
    for name in ("ubuntu/images/hvm-ssd/ubuntu-noble-24.04-amd64-server-20260101", "plain"):
        image = client.register_image(Name=name, RootDeviceName="/dev/sda1", Architecture="x86_64")
        made.image = image["ImageId"]
    api.calls.clear()
    yield made
    api.stop()


BARE = """
dsl_version: 1.0.0
module: acme/bare
assemblies:
  cluster:
    nodes:
      master: {}
      slaves: {attributes: {type: group, cardinality: 2}}
"""


def write_target(cloud: Cloud, **settings: Any) -> None:
    """Write dtk.yaml with the target, as people would."""
    given = json.loads(json.dumps({"type": "ec2", **cloud.target().settings, **settings}))
    # None takes a key away.
    target = {name: value for name, value in given.items() if value is not None}
    with cloud.workspace.file.open("w") as file:
        YAML().dump({"format_version": 1, "targets": {"cloud": target}}, file)


def save(cloud: Cloud, made: Reports) -> None:
    """Put what was reported into the state, as a task would."""
    nodes = {node: state_of(record) for node, record in made.records.items()}
    save_state(cloud.workspace.state_file("spark1"), State("spark1", cloud.identity().lineage, 1, nodes))


def nodes_in_state(cloud: Cloud) -> dict[str, str]:
    """The nodes that the state knows, with their status."""
    state = load_state(cloud.workspace.state_file("spark1"))
    return {name: node.status for name, node in state.nodes.items()} if state else {}


@pytest.fixture
def service(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Reports:
    """A service of three nodes without components, in the state as if a task had made them."""
    monkeypatch.chdir(cloud.workspace.root)
    write_target(cloud)
    module = cloud.workspace.modules / "acme" / "bare"
    module.mkdir(parents=True)
    (module / "dtk.module.yaml").write_text(BARE)
    assert run(["stage", "acme:bare/cluster", "spark1", "--target", "cloud"]) == 0
    made = cloud.create("master", "slaves:1", "slaves:2")
    save(cloud, made)
    return made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A server that answers as the one of AWS does, with what the test puts here."""
    answer = [b"198.51.100.7\n"]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer[0])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(address, "OWN_ADDRESS", f"http://127.0.0.1:{server.server_port}")
    yield answer
    server.shutdown()
    server.server_close()
