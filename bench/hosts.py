"""The machines to work on: real SSH servers on loopback addresses, or a farm that simulates machines."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SSHD = "/usr/sbin/sshd"
OWN_PROCESSES = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
"""Real machines do not see each other's processes, and dtk looks for those of earlier tasks."""
PORT = 2222
ROOT = Path(__file__).resolve().parent.parent
SETTINGS = """\
Port {port}
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
MaxStartups 1000
Subsystem sftp internal-sftp
SetEnv HOME={home}
"""


@dataclass(frozen=True)
class Machine:
    """A machine's SSH address and its home folder."""

    address: str
    port: int
    home: Path


@dataclass(frozen=True)
class Machines:
    """Machines, and the private key that they accept."""

    key: Path
    all: tuple[Machine, ...]

    def wipe(self) -> None:
        """Empty their home folders."""
        for machine in self.all:
            shutil.rmtree(machine.home, ignore_errors=True)
            machine.home.mkdir(parents=True)

    def pyinfra_data(self) -> dict[str, dict[str, object]]:
        """Return pyinfra's data of each host, by host name."""
        return {
            f"h{at}": {
                "ssh_hostname": machine.address,
                "ssh_port": machine.port,
                "ssh_user": "root",
                "ssh_key": str(self.key),
                "ssh_strict_host_key_checking": "off",
                "ssh_known_hosts_file": "/dev/null",
                "home": str(machine.home),
            }
            for at, machine in enumerate(self.all)
        }

    def target(self) -> str:
        """Return them as a target in dtk.yaml."""
        rows = "".join(
            f"      h{at}: {{address: {one.address}, port: {one.port}}}\n" for at, one in enumerate(self.all)
        )
        return f"targets:\n  rack:\n    type: hosts\n    user: root\n    key: {self.key}\n    hosts:\n{rows}"

    def ansible(self) -> str:
        """Return them as an Ansible inventory."""
        own = f"ansible_user=root ansible_ssh_private_key_file={self.key}"
        rows = (
            f"h{at} ansible_host={one.address} ansible_port={one.port} home={one.home} {own}"
            for at, one in enumerate(self.all)
        )
        return "\n".join(rows) + "\n"


def made_key(folder: Path) -> Path:
    """Create the key that every machine accepts; return its file."""
    key = folder / "id_bench"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    return key


def can_serve() -> bool:
    """Return whether real SSH servers can be started here."""
    return os.geteuid() == 0 and Path(SSHD).exists()


@contextmanager
def servers(folder: Path, count: int) -> Iterator[Machines]:
    """Run ``count`` real SSH servers, each on an address of its own."""
    folder.mkdir()
    Path("/run/sshd").mkdir(exist_ok=True)
    key, started, machines = made_key(folder), [], []
    for at in range(count):
        machine = Machine(f"127.77.0.{at + 1}", PORT, folder / f"home{at}")
        place = folder / f"server{at}"
        place.mkdir()
        shutil.copy(f"{key}.pub", place / "authorized_keys")
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / "host_key"], check=True)
        text = SETTINGS.format(port=machine.port, address=machine.address, folder=place, home=machine.home)
        (place / "sshd_config").write_text(text)
        with (place / "log").open("w") as log:
            started.append(
                subprocess.Popen([*OWN_PROCESSES, SSHD, "-D", "-e", "-f", place / "sshd_config"], stderr=log)
            )
        machines.append(machine)
    for machine in machines:
        wait_for(machine)
    found = Machines(key, tuple(machines))
    found.wipe()
    try:
        yield found
    finally:
        for process in started:
            process.kill()
            process.wait()


def wait_for(machine: Machine) -> None:
    """Wait until a machine accepts connections.

    Raises:
        TimeoutError: it does not within 200 attempts.
    """
    for _ in range(200):
        try:
            with socket.create_connection((machine.address, machine.port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"{machine.address}:{machine.port} does not answer")


@contextmanager
def farm(folder: Path, count: int, seconds: float) -> Iterator[Machines]:
    """Run a farm that simulates ``count`` machines, on which each command takes ``seconds``."""
    folder.mkdir()
    key = made_key(folder)
    words = [sys.executable, "-m", "tests.support.farm", f"{key}.pub", str(seconds)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        port = json.loads(process.stdout.readline())[0]
        yield Machines(key, tuple(Machine("127.0.0.1", port, Path("/home/farm")) for _ in range(count)))
        process.kill()
