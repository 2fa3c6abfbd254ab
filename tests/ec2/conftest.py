"""An EC2 of each test's own, and a service on it."""

from __future__ import annotations

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.loaders import JSONFileLoader
from moto.ec2.models import ec2_backends

from dtk.__main__ import run
from dtk.nodes.ec2 import address, instances
from dtk.state.workspace import Workspace
from tests.ec2.cloud import CREDENTIALS, ELSEWHERE, REGION, Cloud, Reports, save, write_target
from tests.support.ec2 import Ec2, open_to_the_internet


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
    # Not those of other suites: the test bed's hosts live in a region of their own for as long as the process.
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
    """A service of three nodes without components, in the state as if a task had made them."""
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
