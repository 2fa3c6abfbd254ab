"""A workspace whose nodes are instances of the test bed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from ruamel.yaml import YAML

from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.command_line import BedDtk
from tests.testbed.host import Host

MODULE = Path(__file__).parent / "module"
SERVICE = "site1"
PAIR = "team"
# The workspace id, which the first command with a state would otherwise add.
WORKSPACE = "5b8f6f0e-8a59-4dfb-9d2c-3f0c5f0d7a11"


class Site:
    """A workspace on the test bed with one service."""

    def __init__(self, dtk: BedDtk) -> None:
        self.dtk, self.bed = dtk, dtk.bed

    def in_state(self) -> set[str]:
        """Return the ids of the instances that the service's state knows."""
        state = load_state(Workspace(self.dtk.root).state_file(SERVICE))
        return {node.id for node in state.nodes.values()} if state else set()

    def check_count(self, nodes: int) -> None:
        """Check that EC2 and the state have the same instances, and that there are ``nodes`` of them."""
        assert set(self.bed.instances()) == self.in_state()
        assert len(self.bed.instances()) == nodes

    def on(self, node: str, command: str) -> str:
        """Run a command on a node; return its output."""
        return self.dtk.run("ssh", SERVICE, node, "--", command).stdout.strip()

    def shell(self, node: str, command: str) -> str:
        """Run a command on a node without a login; return its output, "" if it can't run. For repeated questions."""
        return self.dtk.on(SERVICE, node, command)

    def ids(self) -> dict[str, str]:
        """Return the instance id of each node."""
        return {node["node"]: node["id"] for node in self.dtk.json("list-nodes", SERVICE)}

    def host(self, node: str) -> Host:
        """Return the host of a node."""
        return self.dtk.host(SERVICE, node)

    def check_nothing_left(self) -> None:
        """Check that neither EC2 nor the workspace has anything left of the service."""
        client = self.bed.client()
        assert self.bed.instances() == {}
        assert client.describe_volumes()["Volumes"] == []
        assert client.describe_key_pairs()["KeyPairs"] == []
        groups = client.describe_security_groups()["SecurityGroups"]
        assert {group["GroupName"] for group in groups} == {"default"}
        assert self.dtk.run("ls").stdout == "Message: List is empty.\n"
        left = [path.name for path in Path(self.dtk.root).glob(".dtk/services/**/*") if path.is_file()]
        assert not set(left) - {"lock", "events.jsonl"}, left
        assert not [*Path(self.dtk.root).glob("services/*")]


@contextmanager
def site_in(root: Path, bed: Bed, image: str = "", **more: Any) -> Iterator[Site]:
    """Create a workspace whose nodes boot an image of the test bed; remove all of them afterwards.

    ``more`` are further keys of the target, which override the others.
    """
    root.mkdir()
    dtk = BedDtk(root, bed=bed)
    dtk.run("init")
    with (root / "dtk.yaml").open("w") as file:
        document = {"format_version": 1, "default_target": "vpc", "targets": {"vpc": bed.target(image, **more)}}
        YAML().dump(document, file)
    bed.api.faults.clear()
    bed.api.calls.clear()
    yield Site(dtk)
    bed.api.faults.clear()
    _empty(bed)


@contextmanager
def team_site_in(root: Path, bed: Bed) -> Iterator[Site]:
    """Create a workspace for clones: its id is in git, and all clones have the key pair of its target."""
    key = Ed25519PrivateKey.generate()
    file = root.parent / "team_key"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    file.chmod(0o600)
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    with site_in(root, bed) as made:
        bed.client().import_key_pair(KeyName=PAIR, PublicKeyMaterial=public)
        target = bed.target(key_pair=PAIR, key=str(file))
        document = {"format_version": 1, "workspace": WORKSPACE, "default_target": "vpc", "targets": {"vpc": target}}
        with (root / "dtk.yaml").open("w") as config:
            YAML().dump(document, config)
        yield made


def _empty(bed: Bed) -> None:
    """Remove what a test left, so that the next one starts with an empty account."""
    client = bed.client()
    for id_ in list(bed.instances()):
        client.terminate_instances(InstanceIds=[id_])
    eventually(lambda: not bed.instances(), "the instances are terminated")
    for pair in client.describe_key_pairs()["KeyPairs"]:
        client.delete_key_pair(KeyName=pair["KeyName"])
    for group in client.describe_security_groups()["SecurityGroups"]:
        if group["GroupName"] != "default":
            client.delete_security_group(GroupId=group["GroupId"])
