"""The test bed's own network: a bridge that the hosts hang on, and their way to package mirrors."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.host import run

SETTINGS = {Path("/proc/sys/net/ipv4/ip_forward"): 1, Path("/proc/sys/fs/inotify/max_user_instances"): 8192}
"""What the machine's kernel is told while there are hosts: to pass on their packets, and that each watches files."""


@dataclass
class Network:
    """A bridge with a private network 10.77.N.0/24 and a "public" one 198.18.N.0/24, both on this machine alone."""

    number: int

    @property
    def bridge(self) -> str:
        """The bridge's name."""
        return f"dtkbed{self.number}"

    @property
    def private(self) -> str:
        """The first three numbers of private addresses."""
        return f"10.77.{self.number}"

    @property
    def public(self) -> str:
        """The first three numbers of public addresses: a range that is nobody's (RFC 2544)."""
        return f"198.18.{self.number}"

    def make(self) -> None:
        """Make bridge and address translation."""
        # One of its own: else it is the lowest of its ports', and changes when that host goes. The others would then
        # send to one that nobody has until they ask again.
        run("ip", "link", "add", self.bridge, "address", f"02:00:0a:4d:{self.number:02x}:01", "type", "bridge")
        run("ip", "addr", "add", f"{self.private}.1/24", "dev", self.bridge)
        run("ip", "addr", "add", f"{self.public}.1/24", "dev", self.bridge)
        run("ip", "link", "set", self.bridge, "up")
        self._settings = {file: file.read_text() for file in SETTINGS}
        for file, value in SETTINGS.items():
            file.write_text(f"{value}\n")
        rules = f"""table ip {self.bridge} {{
            chain postrouting {{
                type nat hook postrouting priority srcnat;
                ip saddr {self.private}.0/24 oifname != "{self.bridge}" masquerade
            }}
        }}"""
        run("nft", "-f", "-", stdin=rules)

    def remove(self) -> None:
        """Remove all of it."""
        run("nft", "delete", "table", "ip", self.bridge, check=False)
        run("ip", "link", "del", self.bridge, check=False)
        # Another run's bed may still be there.
        if "dtkbed" not in run("ip", "-o", "link"):
            for file, before in self._settings.items():
                file.write_text(before)


def make_network() -> Network:
    """Make a network that nothing on this machine has; another run may take the same one at the same time."""
    for number in range(7, 250):
        network = Network(number)
        if network.private in run("ip", "-o", "addr"):
            continue
        with suppress(RuntimeError):
            network.make()
            return network
    raise RuntimeError("the test bed's network can't be made")


def resolver() -> str:
    """Return a resolv.conf whose servers can be reached from hosts: none on this machine's loopback."""
    for name in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        lines = Path(name).read_text().splitlines() if Path(name).exists() else []
        servers = [line for line in lines if line.startswith("nameserver") and " 127." not in line]
        if servers:
            return "\n".join(servers) + "\n"
    return ""
