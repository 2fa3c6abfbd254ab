"""The test bed's network: a bridge that connects the hosts, and their route to package mirrors."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.testbed.host import run

SETTINGS = {Path("/proc/sys/net/ipv4/ip_forward"): 1, Path("/proc/sys/fs/inotify/max_user_instances"): 8192}
"""Kernel settings while hosts exist: forward their packets, and let all of them watch files (inotify)."""


@dataclass
class Network:
    """A bridge with a private network 10.77.N.0/24 and a "public" network 198.18.N.0/24, both only on this machine."""

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
        """The first three numbers of public addresses, from a range reserved for tests (RFC 2544)."""
        return f"198.18.{self.number}"

    def make(self) -> None:
        """Create the bridge and the address translation."""
        # Set a MAC address. Otherwise the bridge uses the lowest one of its ports and changes it when that host goes:
        # the others would then send to an unknown MAC until they ask again.
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
        """Remove everything."""
        run("nft", "delete", "table", "ip", self.bridge, check=False)
        run("ip", "link", "del", self.bridge, check=False)
        # Another run's test bed may still exist.
        if "dtkbed" not in run("ip", "-o", "link"):
            for file, before in self._settings.items():
                file.write_text(before)


def make_network() -> Network:
    """Create a network that is unused on this machine; a concurrent run may try to take the same one."""
    for number in range(7, 250):
        network = Network(number)
        if network.private in run("ip", "-o", "addr"):
            continue
        with suppress(RuntimeError):
            network.make()
            return network
    raise RuntimeError("the test bed's network can't be made")


def resolver() -> str:
    """Return a resolv.conf with nameservers that hosts can reach, so none on this machine's loopback."""
    for name in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        lines = Path(name).read_text().splitlines() if Path(name).exists() else []
        servers = [line for line in lines if line.startswith("nameserver") and " 127." not in line]
        if servers:
            return "\n".join(servers) + "\n"
    return ""
