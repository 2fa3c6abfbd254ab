"""A service of nodes that one SSH server serves through a proxy command, and that can be behind a load balancer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from dtk.__main__ import run
from dtk.state.store import load_state
from tests.apply.lab import Lab
from tests.ec2.cloud import REGION, Cloud, Reports, save, write_target
from tests.ssh.openssh import openssh_servers

BALANCED = """
dsl_version: 1.0.0
module: acme/bare
components:
  app:
    attributes:
      version: {type: string, default: '1'}
      verdict: {type: string, default: 'true'}
    actions:
      create:
        commands:
        - RUN echo {{version}} >> {{log}}
        - RUN {{verdict}}
assemblies:
  cluster:
    nodes:
      edge: {}
      web:
        attributes: {type: group, cardinality: 2}
        components: [bare::app]
"""
TUNNEL = """
import os, socket, sys, threading
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def up():
    while data := os.read(0, 65536):
        peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)
threading.Thread(target=up, daemon=True).start()
while data := peer.recv(65536):
    while data:
        data = data[os.write(1, data):]
"""


def balancer(cloud: Cloud) -> Any:
    return boto3.client("elbv2", region_name=REGION, endpoint_url=cloud.url)


def new_group(cloud: Cloud, name: str, **settings: Any) -> str:
    """Create a target group; return its ARN."""
    vpc = cloud.client().describe_subnets(SubnetIds=cloud.subnets[:1])["Subnets"][0]["VpcId"]
    given = {"Protocol": "HTTP", "Port": 8080, "VpcId": vpc, "TargetType": "instance", **settings}
    return str(balancer(cloud).create_target_group(Name=name, **given)["TargetGroups"][0]["TargetGroupArn"])


def changing(cloud: Cloud) -> list[str]:
    """Return the calls that change something, in order."""
    return [name for name, _ in cloud.api.calls if not name.startswith(("Describe", "Get"))]


@dataclass
class Balanced:
    """A service whose group ``web`` is behind the target group ``app``; ``log`` has what its component did."""

    cloud: Cloud
    made: Reports
    arn: str
    log: Path

    def ids(self) -> list[str]:
        return sorted(record.id for node, record in self.made.records.items() if node.startswith("web"))

    def state(self, node: str) -> dict[str, Any]:
        state = load_state(self.cloud.workspace.state_file("spark1"))
        assert state is not None
        return dict(state.nodes[node].attributes)


@contextmanager
def balanced_service(cloud: Cloud, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Balanced]:
    """Yield the service with its machines, which one SSH server serves through a proxy command."""
    monkeypatch.chdir(cloud.workspace.root)
    cloud.client().create_key_pair(KeyName="ours")
    tunnel, log = tmp_path / "tunnel.py", tmp_path / "log"
    tunnel.write_text(TUNNEL)
    with openssh_servers(lab, tmp_path / "ssh") as start:
        program = f"{sys.executable} {tunnel} {start().port}"
        way = {"key_pair": "ours", "key": str(lab.key_file), "user": "tester", "proxy_command": program}
        write_target(cloud, **way, health_timeout=1)
        module = cloud.workspace.modules / "acme" / "bare"
        module.mkdir(parents=True)
        (module / "dtk.module.yaml").write_text(BALANCED.replace("{{log}}", str(log)))
        assert run(["stage", "acme:bare/cluster", "spark1", "--target", "cloud"]) == 0
        file = cloud.workspace.service_file("spark1")
        head, _, rest = file.read_text().partition("\nid: ")
        file.write_text(f"{head}\nid: {cloud.identity().lineage}\n{rest.partition(chr(10))[2]}")
        made = cloud.create("edge", "web:1", "web:2", provider=cloud.provider(**way))
        save(cloud, made)
        arn = new_group(cloud, "app")
        cloud.api.calls.clear()
        yield Balanced(cloud, made, arn, log)


def apply(*more: str) -> int:
    return run(["apply", "spark1", "--yes", *more])


def shown(capsys: pytest.CaptureFixture[str], *command: str) -> str:
    capsys.readouterr()
    run([*command])
    return capsys.readouterr().out
