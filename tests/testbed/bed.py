"""The test bed: an EC2 whose instances are hosts that boot on this machine. ``Bed.close`` removes everything."""

from __future__ import annotations

import itertools
import os
import resource
import secrets
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends

from tests.support.ec2 import Ec2, open_to_the_internet, public_addresses
from tests.testbed.disk import Disk, make_disk
from tests.testbed.host import Host, run
from tests.testbed.image import image_root
from tests.testbed.network import make_network, resolver

_REGIONS = itertools.cycle(("eu-central-1", "eu-north-1", "eu-west-2", "eu-west-3"))
"""Each bed takes another region: moto's data is global to the process, other suites reset theirs, and beds overlap."""
_ROOT_DEVICES = ("/dev/xvda", "/dev/sda1")
PROGRAMS = ("mmdebstrap", "systemd-nspawn", "nft", "ip", "mount", "chroot", "gpg")


def missing() -> str:
    """Return why this machine cannot run the test bed; "" if it can."""
    if os.geteuid() != 0:
        return "it needs root"
    programs = [name for name in PROGRAMS if shutil.which(name) is None]
    if programs:
        return f"{', '.join(programs)} not installed (Debian: mmdebstrap systemd-container nftables iproute2 gpg)"
    trial = f"dtk-trial-{secrets.token_hex(4)}"  # a random name: another run may check at the same time
    try:
        run("ip", "netns", "add", trial)
        run("ip", "netns", "del", trial)
    except RuntimeError as error:
        return f"this machine allows no network namespaces: {error}"
    return ""


def skip_where_missing() -> None:
    """Skip the calling test with the reason if the test bed cannot run here; fail it if the test bed is required."""
    reason = missing()
    if reason and os.environ.get("DTK_TESTBED") == "required":
        pytest.fail(f"the test bed can't be made here: {reason}")
    if reason:
        pytest.skip(f"the test bed can't be made here: {reason}")


class Bed:
    """An EC2 with a VPC, an image, and a reconciler that boots the running instances."""

    def __init__(self) -> None:
        self.image_root = image_root()
        self.folder = Path(tempfile.mkdtemp(prefix="dtk-bed-", dir="/var/tmp"))
        self.network = make_network()
        self.region = next(_REGIONS)
        self.api = Ec2(seconds=1.0, region=self.region)
        self.hosts: dict[str, Host] = {}
        self.disks: dict[str, Disk] = {}
        self._software: dict[str, Mapping[str, Path]] = {}
        self._ended = threading.Event()
        self._addresses = public_addresses(self.network.public)
        self._numbers = iter(range(1, 10**6))

    def start(self) -> None:
        """Create the network, serve the API, and boot its instances from now on."""
        Path("/run/systemd/nspawn").mkdir(parents=True, exist_ok=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
        next(self._addresses)
        ec2_backends[DEFAULT_ACCOUNT_ID][self.region].reset()
        self.url = self.api.start()
        self._make_vpc()
        self._reconciler = threading.Thread(target=self._reconcile, daemon=True)
        self._reconciler.start()

    def client(self) -> Any:
        """Return a new EC2 client for a test."""
        return boto3.client(
            "ec2",
            region_name=self.region,
            endpoint_url=self.url,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def _make_vpc(self) -> None:
        client = self.client()
        vpc = client.create_vpc(CidrBlock=f"{self.network.private}.0/24")["Vpc"]["VpcId"]
        open_to_the_internet(client, vpc)
        self.subnets = [
            client.create_subnet(
                VpcId=vpc,
                CidrBlock=f"{self.network.private}.{first}/25",
                AvailabilityZone=f"{self.region}{zone}",
            )["Subnet"]["SubnetId"]
            for first, zone in ((0, "a"), (128, "b"))
        ]
        self.subnet = self.subnets[0]
        self.image = self.add_image("debian-12", {})

    def add_image(self, name: str, software: Mapping[str, Path]) -> str:
        """Register an image with additional software; return its id.

        Args:
            name: the image's name.
            software: folders of this machine, by their path on the hosts. They are mounted there read-only instead
                of copied,
                so a host has them at once, as if they were built into its image.
        """
        made = self.client().register_image(Name=name, RootDeviceName="/dev/xvda", Architecture="x86_64")
        self._software[made["ImageId"]] = software
        return str(made["ImageId"])

    def target(self, image: str = "", **more: Any) -> dict[str, Any]:
        """Return the target's keys in dtk.yaml.

        Args:
            image: the image id of its hosts; "" means plain Debian.
            more: further keys, which override the others.
        """
        return {
            "type": "ec2",
            "region": self.region,
            "endpoint_url": self.url,
            "subnet": self.subnet,
            "ssh_from": [f"{self.network.private}.1/32"],
            "images": {"debian": {"image": image or self.image, "user": "admin"}},
            "defaults": {"image": "debian"},
            "boot_timeout": 120,
            "connect_timeout": 60,
            **more,
        }

    def instances(self) -> dict[str, Any]:
        """Return moto's instances that are not terminated, by id."""
        found = ec2_backends[DEFAULT_ACCOUNT_ID][self.region].all_instances()
        return {instance.id: instance for instance in found if instance.state != "terminated"}

    def _reconcile(self) -> None:
        while not self._ended.wait(0.3):
            with self.api._lock:
                expected = {id_: (one.state, self._addresses_of(one)) for id_, one in self.instances().items()}
                keys = {id_: self._public_key(one) for id_, one in self.instances().items()}
                images = {id_: one.image_id for id_, one in self.instances().items()}
                volumes = self._volumes()
            for id_ in self.hosts.keys() - expected.keys():
                self.hosts.pop(id_).remove()
            for id_ in self.disks.keys() - {one.id for one in volumes}:
                self.disks.pop(id_).remove()
            for id_, (state, addresses) in expected.items():
                with suppress(RuntimeError, OSError):
                    # Errors are retried; a host that never comes up fails the test that waits for it.
                    self._bring(id_, state, addresses, keys[id_], self._software[images[id_]])
                    if id_ in self.hosts:
                        self.hosts[id_].plug_in(self._disks_of(id_, volumes))

    def _volumes(self) -> list[Any]:
        """Return moto's volumes without those of root file systems, which are folders here."""
        found = ec2_backends[DEFAULT_ACCOUNT_ID][self.region].volumes.values()
        return [one for one in found if not (one.attachment and one.attachment.device in _ROOT_DEVICES)]

    def _disks_of(self, instance: str, volumes: list[Any]) -> dict[str, str]:
        """Return the disks of a host: its device of each volume, and this machine's. A volume's disk is made once."""
        attached = [one for one in volumes if one.attachment and one.attachment.instance.id == instance]
        for one in attached:
            if one.id not in self.disks:
                self.disks[one.id] = make_disk(self.folder / "volumes" / one.id, one.size)
        return {one.attachment.device: self.disks[one.id].device for one in attached}

    def _bring(self, id_: str, state: str, addresses: list[str], public_key: str, software: Mapping[str, Path]) -> None:
        host = self.hosts.get(id_)
        if host is None and state == "running":
            number = next(self._numbers)
            name = f"bed{self.network.number}x{number}"
            gateway = f"{self.network.private}.1"
            host = Host(name, self.folder / name, self.image_root, self.network.bridge, gateway, software)
            host.make_disk(public_key, resolver())
            host.power_on(addresses)
            self.hosts[id_] = host
        elif host is not None and state == "running" and not host.is_on and addresses != host.addresses:
            host.power_on(addresses)
        elif host is not None and state == "stopped" and host.is_on:
            host.power_off()
            host.addresses = []

    def _addresses_of(self, instance: Any) -> list[str]:
        public = instance.public_ip
        return [f"{instance.private_ip}/24", *([f"{public}/32"] if public else [])]

    def _public_key(self, instance: Any) -> str:
        pairs = ec2_backends[DEFAULT_ACCOUNT_ID][self.region].key_pairs
        return pairs[instance.key_name].public_key if instance.key_name in pairs else ""

    def close(self) -> None:
        """Remove everything."""
        self._ended.set()
        self._reconciler.join(60)
        for host in self.hosts.values():
            host.remove()
        for disk in self.disks.values():
            disk.remove()
        self.api.stop()
        self.network.remove()
        self._addresses.close()  # type: ignore[attr-defined]
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def running_bed() -> Iterator[Bed]:
    """Provide a started bed and remove it afterwards; where it cannot run, skip or fail as ``skip_where_missing``."""
    skip_where_missing()
    made = Bed()
    try:
        made.start()
        yield made
    finally:
        made.close()
