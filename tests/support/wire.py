"""A test network: a namespace behind a simulated cable that a test can cut, slow down or make lossy."""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

_ETH_P_ALL = 3
_OUTGOING = 4
_SIOCETHTOOL, _SET_TX_CHECKSUM = 0x8946, 0x17
_LARGEST_FRAME = 65536
_LOOK_SECONDS = 0.05


@dataclass
class Cable:
    """The cable between this machine and the other one. Its fields can be changed while it is in use."""

    delay: float = 0.0
    """The delay of a packet in seconds, in each direction."""
    loss: float = 0.0
    """The fraction of packets that are lost, chosen by a seeded random generator."""
    is_cut: bool = False
    lost: int = field(default=0, init=False)


class OwnNetwork:
    """A network namespace. Its only address, ``host``, is reached over ``cable``."""

    def __init__(self, seed: int = 1) -> None:
        self.cable = Cable()
        self._chance = random.Random(seed)
        self._ended = threading.Event()
        self._number = next(number for number in range(1, 250) if _is_made(number))
        self.name = f"dtkwire{self._number}"
        self.host = f"10.79.{self._number}.2"
        self._connect()
        self._ends = [_listening(f"dw{self._number}b"), _listening(f"dw{self._number}c")]
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    @property
    def inside(self) -> tuple[str, ...]:
        """The command prefix that starts a program in the namespace."""
        return ("ip", "netns", "exec", self.name)

    def _connect(self) -> None:
        ours, theirs = f"dw{self._number}a", f"dw{self._number}d"
        _run("ip", "link", "add", f"dw{self._number}c", "type", "veth", "peer", "name", theirs, "netns", self.name)
        for device in (ours, f"dw{self._number}b", f"dw{self._number}c"):
            _run("ip", "link", "set", device, "addrgenmode", "none")
        _without_checksum_offload(ours)
        with _namespace(self.name):
            _without_checksum_offload(theirs)
        _run("ip", "addr", "add", f"10.79.{self._number}.1/24", "dev", ours)
        for words in (
            ("addr", "add", f"{self.host}/24", "dev", theirs),
            *(("link", "set", d, "up") for d in ("lo", theirs)),
        ):
            _run("ip", "-n", self.name, *words)
        for device in (ours, f"dw{self._number}b", f"dw{self._number}c"):
            _run("ip", "link", "set", device, "up")

    def _carry(self) -> None:
        """Carry each packet between the cable's ends, with the cable's delay and loss at that moment."""
        on_the_way: list[tuple[float, int, int, bytes]] = []
        count = 0
        while not self._ended.is_set():
            wait = min(_LOOK_SECONDS, max(0.0, on_the_way[0][0] - time.monotonic())) if on_the_way else _LOOK_SECONDS
            for end in select.select(self._ends, [], [], wait)[0]:
                frame, address = end.recvfrom(_LARGEST_FRAME)
                if address[2] == _OUTGOING:
                    continue
                if self.cable.is_cut or self._chance.random() < self.cable.loss:
                    self.cable.lost += 1
                    continue
                count += 1
                heapq.heappush(on_the_way, (time.monotonic() + self.cable.delay, count, self._ends.index(end), frame))
            while on_the_way and on_the_way[0][0] <= time.monotonic():
                _, _, source, frame = heapq.heappop(on_the_way)
                if not self.cable.is_cut:
                    with suppress(OSError):
                        self._ends[1 - source].send(frame)

    @contextmanager
    def reset(self, port: int) -> Iterator[None]:
        """Reject every packet to a port in the namespace with a TCP reset, as a firewall does that lost its state."""
        rules = (
            "table inet dtkreset { chain input { type filter hook input priority 0; "
            f" tcp dport {port} reject with tcp reset\n}}\n}}\n"
        )
        _run(*self.inside, "nft", "-f", "-", stdin=rules)
        try:
            yield
        finally:
            _run(*self.inside, "nft", "delete", "table", "inet", "dtkreset")

    def remove(self) -> None:
        """Remove the namespace and its devices."""
        self._ended.set()
        self._thread.join()
        for end in self._ends:
            end.close()
        for device in (f"dw{self._number}a", f"dw{self._number}c"):
            subprocess.run(["ip", "link", "del", device], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.name], check=False, capture_output=True)


def own_network() -> Iterator[OwnNetwork]:
    """Create a network for a test and remove it afterwards. This is the body of a fixture."""
    if os.geteuid() != 0 or not hasattr(socket, "AF_PACKET"):
        pytest.skip("a network of its own can only be made by root on Linux")
    made = OwnNetwork()
    try:
        yield made
    finally:
        made.remove()


def _is_made(number: int) -> bool:
    """Create our end of a cable. Return False if another test run already uses the number."""
    made = ["ip", "link", "add", f"dw{number}a", "type", "veth", "peer", "name", f"dw{number}b"]
    if subprocess.run(made, check=False, capture_output=True).returncode != 0:
        return False
    subprocess.run(["ip", "netns", "del", f"dtkwire{number}"], check=False, capture_output=True)
    _run("ip", "netns", "add", f"dtkwire{number}")
    return True


def _run(*words: str, stdin: str = "") -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, input=stdin)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}"


def _listening(device: str) -> socket.socket:
    end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    end.bind((device, 0))
    return end


def _without_checksum_offload(device: str) -> None:
    """Make the kernel compute checksums. No network card would add them, because packets are carried by hand."""
    value = ctypes.create_string_buffer(struct.pack("II", _SET_TX_CHECKSUM, 0))
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        fcntl.ioctl(asking, _SIOCETHTOOL, request)


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    """Move this thread into a network namespace for the duration of the context."""
    library = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as own, open(f"/run/netns/{name}") as other:  # noqa: PTH123
        assert library.setns(other.fileno(), 0) == 0
        try:
            yield
        finally:
            assert library.setns(own.fileno(), 0) == 0
