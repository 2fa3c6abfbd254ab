"""Fixtures: a fresh mock EC2 for each test, and a service on it."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.route53.models import route53_backends

from dtk.__main__ import run
from dtk.nodes.ec2 import address, instances
from dtk.state.workspace import Workspace
from tests.apply.lab import Lab
from tests.ec2.balanced import Balanced, balanced_service
from tests.ec2.cloud import CREDENTIALS, ELSEWHERE, REGION, Cloud, Reports, save, write_target
from tests.support.ec2 import Ec2, open_to_the_internet


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once() -> Iterator[None]:
    """Cache botocore's model files. Otherwise every provider of every test would read megabytes of JSON for EC2."""
    load = functools.cache(JSONFileLoader().load_file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JSONFileLoader, "load_file", lambda _, path: load(path))
        yield


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Yield a mock EC2 for one test."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    # By default, moto loads 1300 images for every test.
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    # The mock EC2 changes states within tenths of a second, so poll it that often.
    monkeypatch.setattr(instances, "_FIRST_PAUSE_SECONDS", 0.1)
    (tmp_path / "dtk.yaml").write_text("format_version: 1\n")
    elbv2_backends[DEFAULT_ACCOUNT_ID][REGION].reset()
    route53_backends[DEFAULT_ACCOUNT_ID]["aws"].reset()
    # Leave other regions alone: the test bed's hosts use their own region for the lifetime of the process.
    for backends in ec2_backends.values():
        for region in {REGION, ELSEWHERE} & backends.keys():
            backends[region].reset()
    api = Ec2(seconds=0.3)
    made = Cloud(api, api.start(), Workspace(tmp_path))
    client = made.client()
    vpc = client.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    for number, zone in enumerate("ab"):
        subnet = client.create_subnet(VpcId=vpc, CidrBlock=f"10.80.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
        made.subnets.append(subnet["Subnet"]["SubnetId"])
    open_to_the_internet(client, vpc)
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


@pytest.fixture
def service(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Reports:
    """Return the records of a service of three nodes without components, in the state as if a task had created them."""
    monkeypatch.chdir(cloud.workspace.root)
    write_target(cloud)
    module = cloud.workspace.modules / "acme" / "bare"
    module.mkdir(parents=True)
    (module / "dtk.module.yaml").write_text(BARE)
    assert run(["stage", "acme:bare/cluster", "spark1", "--target", "cloud"]) == 0
    file = cloud.workspace.service_file("spark1")
    file.write_text(re.sub(r"(?m)^id: .*$", f"id: {cloud.identity().lineage}", file.read_text()))
    made = cloud.create("master", "slaves:1", "slaves:2")
    save(cloud, made)
    return made


@pytest.fixture
def service_on_ssh(cloud: Cloud, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Balanced]:
    """Yield a service whose nodes dtk can log in to."""
    with balanced_service(cloud, lab, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """Run a server in place of AWS's address check. Yield a list with its answer, which the test can replace."""
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
