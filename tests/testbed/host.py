"""A host: systemd as PID 1 with its own filesystem and address; it boots, stops, reboots and loses power."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.testbed.image import MACHINE_FILES, apt_settings

REBOOTED = 133
STOP_SECONDS = 30
MTU = "1400"
CGROUPS = Path("/sys/fs/cgroup")


def run(*words: str, check: bool = True, stdin: str = "") -> str:
    """Run a program; return its output.

    Raises:
        RuntimeError: it failed; the message contains its error output.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False, input=stdin)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


@dataclass
class Host:
    """One host.

    ``folder`` holds its disk; ``name`` is the name of its network namespace and its machine. ``software`` maps paths on
    the host to folders of this machine, which its image contains read-only. ``disks`` maps paths on the host to block
    devices of this machine.
    """

    name: str
    folder: Path
    image: Path
    bridge: str
    gateway: str
    software: Mapping[str, Path] = field(default_factory=dict)
    addresses: list[str] = field(default_factory=list)
    disks: dict[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _on: bool = False
    _thread: threading.Thread | None = None

    @property
    def root(self) -> Path:
        """Where its filesystem is mounted."""
        return self.folder / "root"

    @property
    def is_on(self) -> bool:
        """Whether it is powered on."""
        return self._on

    def make_disk(self, public_key: str, resolver: str) -> None:
        """Create an empty disk over the image, with the key that may log in."""
        upper, work = self.folder / "upper", self.folder / "work"
        for folder in (self.root, upper, work):
            folder.mkdir(parents=True)
        options = f"lowerdir={self.image},upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "overlay", "-o", options, str(self.root))
        self._write("etc/hostname", f"{self.name}\n")
        self._write("etc/hosts", f"127.0.0.1 localhost\n127.0.1.1 {self.name}\n")
        self._write("etc/resolv.conf", resolver)
        for path in (*map(Path, MACHINE_FILES), *apt_settings()):
            if path.is_file():
                self._write(str(path).lstrip("/"), path.read_text())
        self._write("home/admin/.ssh/authorized_keys", f"{public_key}\n")
        run("chroot", str(self.root), "chown", "-R", "admin:admin", "/home/admin/.ssh")
        run("chroot", str(self.root), "chmod", "-R", "go=", "/home/admin/.ssh")

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)

    def power_on(self, addresses: list[str]) -> None:
        """Boot with these addresses."""
        self.addresses = addresses
        self._make_network()
        self._on = True
        self._thread = threading.Thread(target=self._keep_running, daemon=True)
        self._thread.start()

    def _make_network(self) -> None:
        outside = f"v{self.name[-10:]}"
        run("ip", "netns", "add", self.name)
        # The MAC address follows from the IP address, because a stopped instance keeps its network card: with another
        # MAC, those who know the address could not reach it for half a minute.
        card = "02:01:" + ":".join(f"{int(number):02x}" for number in self._private().split("."))
        peer = ("type", "veth", "peer", "name", "host0", "address", card, "netns", self.name)
        run("ip", "link", "add", outside, "mtu", MTU, *peer)
        run("ip", "link", "set", outside, "master", self.bridge, "up")
        inside = ("ip", "-n", self.name)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "link", "set", "host0", "mtu", MTU, "up")
        for address in self.addresses:
            run(*inside, "addr", "add", address, "dev", "host0")
        run(*inside, "route", "add", "default", "via", self.gateway, "src", self._private())

    def _private(self) -> str:
        return self.addresses[0].partition("/")[0]

    def _keep_running(self) -> None:
        while self._on:
            with (self.folder / "console.log").open("ab") as log:
                self._process = subprocess.Popen(
                    self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            if self._process.wait() != REBOOTED:
                break

    def _command(self) -> list[str]:
        nspawn = (
            *("systemd-nspawn", "-q", "-D", str(self.root), "-M", self.name, "--boot"),
            *(f"--network-namespace-path=/run/netns/{self.name}", "--register=no", "--keep-unit", "--console=pipe"),
            # As on a machine of its own, root may change what is in this host's network namespace: its firewall.
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no", "--capability=CAP_NET_ADMIN"),
            *(f"--bind-ro={source}:{place}" for place, source in self.software.items()),
            *(f"--bind={device}:{place}" for place, device in self.disks.items()),
        )
        # Each host gets a control group of its own, because its PID 1 takes over the group that it starts in.
        enter = 'for g in %s; do mkdir -p $g && echo $$ > $g/cgroup.procs || true; done; exec "$@"'
        groups = " ".join(str(group / f"dtk-{self.name}") for group in control_groups())
        return ["sh", "-c", enter % groups, "sh", *nspawn]

    def power_off(self) -> None:
        """Shut down cleanly, then remove its addresses."""
        self._on = False
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.cut_power()

    def cut_power(self) -> None:
        """Kill everything at once, as in a power loss."""
        self._on = False
        if self._process is not None:
            for pid in [*_children(self._process.pid), self._process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._process.wait()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS)
        run("ip", "link", "del", f"v{self.name[-10:]}", check=False)
        run("ip", "netns", "del", self.name, check=False)

    def reboot(self) -> None:
        """Signal PID 1 to restart the machine."""
        assert self._process is not None
        for pid in _children(self._process.pid):
            os.kill(pid, signal.SIGINT)

    def plug_in(self, disks: Mapping[str, str]) -> None:
        """Have these disks, at once if it runs: paths on the host, and block devices of this machine."""
        self.disks = dict(disks)
        if not disks or self._process is None:
            return
        for pid in _children(self._process.pid):
            root = Path(f"/proc/{pid}/root")
            with suppress(OSError):  # It starts or ends just now: the reconciler repeats this.
                # Before PID 1 has entered the host's file system, this is the machine's own root.
                if root.samefile(self.root):
                    for place, device in disks.items():
                        _show_device(device, root / place.lstrip("/"))

    def shell(self, command: str) -> str:
        """Run a shell command as the user admin; return what it printed, "" where it can't run, as while it boots.

        It enters the host's namespaces: a login by ``dtk ssh`` costs a second, which polls would pay each time.
        """
        for pid in _children(self._process.pid) if self._process is not None else []:
            with suppress(OSError):
                if Path(f"/proc/{pid}/root").samefile(self.root):  # else PID 1 has not entered it yet
                    inside = ("nsenter", "-t", str(pid), "-m", "-u", "-i", "-n", "-p", "--")
                    return run(*inside, "runuser", "-l", "admin", "-c", command, check=False).strip()
        return ""

    def unplug(self, *, plugged: bool = False) -> None:
        """Unplug its network cable, or plug it in again."""
        run("ip", "link", "set", f"v{self.name[-10:]}", "up" if plugged else "down")

    def remove(self) -> None:
        """Cut its power and destroy its disk."""
        self.cut_power()
        for _ in range(20):
            if not os.path.ismount(self.root):
                break
            run("umount", "-l", str(self.root), check=False)
            time.sleep(0.1)
        shutil.rmtree(self.folder, ignore_errors=True)
        for group in control_groups():
            _remove_groups(group / f"dtk-{self.name}")


def _show_device(device: str, place: Path) -> None:
    if not place.exists():
        os.mknod(place, stat.S_IFBLK | 0o660, Path(device).stat().st_rdev)


def control_groups() -> list[Path]:
    """Return the hierarchies in which a host gets a control group: all of cgroup v1, or the single one of v2."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return [group for group in sorted(CGROUPS.iterdir()) if group.is_dir() and not group.is_symlink()]


def _remove_groups(group: Path) -> None:
    for folder, _, _ in os.walk(group, topdown=False):
        with suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106 - a control group's files can't be removed, only the group


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]
