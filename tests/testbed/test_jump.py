"""Instances behind a jump host: a real machine with OpenSSH that accepts only its user's own key."""

from __future__ import annotations

from pathlib import Path

import paramiko
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from ruamel.yaml import YAML

from dtk.nodes.reach import wait_for_banner
from tests.support.waiting import eventually
from tests.testbed.site import SERVICE, Site


@pytest.fixture
def bastion(site: Site, tmp_path: Path) -> tuple[str, str, Path]:
    """Start the user's own jump host; return its public address, its private address and the file of its key."""
    key = Ed25519PrivateKey.generate()
    file = tmp_path / ".ssh" / "id_ed25519"
    file.parent.mkdir()
    file.touch(mode=0o600)
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    client = site.bed.client()
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    client.import_key_pair(KeyName="bastion", PublicKeyMaterial=public)
    made = client.run_instances(
        ImageId=site.bed.image,
        InstanceType="t3.micro",
        KeyName="bastion",
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=[{"DeviceIndex": 0, "SubnetId": site.bed.subnet, "AssociatePublicIpAddress": True}],
    )
    id_ = made["Instances"][0]["InstanceId"]
    eventually(lambda: site.bed.hosts.get(id_), "the jump host boots")
    described = client.describe_instances(InstanceIds=[id_])["Reservations"][0]["Instances"][0]
    wait_for_banner(described["PublicIpAddress"], paramiko.config.SSH_PORT, 120)
    return described["PublicIpAddress"], described["PrivateIpAddress"], file


def write_target(site: Site, **settings: str) -> None:
    """Write dtk.yaml with the test bed as its target."""
    target = site.bed.target(**settings)
    with (site.dtk.root / "dtk.yaml").open("w") as file:
        YAML().dump({"format_version": 1, "default_target": "vpc", "targets": {"vpc": target}}, file)


@pytest.mark.parametrize("named", [True, False])
def test_nodes_are_configured_and_logged_in_to_through_a_jump_host(
    site: Site, bastion: tuple[str, str, Path], named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    public, private, key = bastion
    jump_key = {"jump_key": str(key)} if named else {}
    write_target(site, addresses="private", jump=f"admin@{public}", **jump_key)
    monkeypatch.setenv("HOME", str(key.parents[1]) if not named else str(site.dtk.root))
    site.dtk.run("deploy", "acme:site/cluster", SERVICE, "--set", "slaves/cardinality=1")
    assert "hello from slaves:1" in site.on("slaves:1", "cat /srv/web/index.html")
    assert site.on("slaves:1", "echo $SSH_CONNECTION").startswith(f"{private} ")
    write_target(site, addresses="private")
    assert site.on("slaves:1", "echo $SSH_CONNECTION").startswith(f"{site.bed.network.private}.1 ")
