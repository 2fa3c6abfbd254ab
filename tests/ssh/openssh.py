"""A real OpenSSH server for tests, with configurable login shell, sshd settings and network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from dtk.nodes.provider import Connection
from tests.apply.lab import Lab
from tests.support.ports import held_port
from tests.support.waiting import eventually
from tests.support.wire import OwnNetwork

SSHD = "/usr/sbin/sshd"
_START = """
mount --bind "$0/passwd" /etc/passwd
mkdir -p /run/sshd
exec {sshd} -D -e -f "$0/sshd_config"
"""


@contextmanager
def openssh_servers(lab: Lab, folder: Path, network: OwnNetwork | None = None) -> Iterator[Callable[..., OpenSsh]]:
    """Yield a function that starts servers.

    The function's arguments are the options of ``OpenSsh``, and the public key that the server ``accepts``: by default,
    the lab's. All servers are stopped at the end.
    """
    started: list[OpenSsh] = []

    def start(*, accepts: str = "", **settings: Any) -> OpenSsh:
        key = accepts or lab.client_key.export_public_key().decode()
        started.append(OpenSsh(folder / f"sshd{len(started)}", key, network=network, **settings))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@contextmanager
def openssh_machines(lab: Lab, folder: Path, network: OwnNetwork | None = None) -> Iterator[Callable[..., OpenSsh]]:
    """Yield a function like that of ``openssh_servers`` that also makes each new server the lab's node ``master``."""
    with openssh_servers(lab, folder, network) as start:

        def start_master(**settings: Any) -> OpenSsh:
            server = start(**settings)
            lab.put_node("master", Connection(server.host, server.port, "tester", str(lab.key_file)), server)
            return server

        yield start_master


def _words_of(process: psutil.Process) -> list[str]:
    """Return the command line of a process, [] if it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def make_key(file: Path, passphrase: str = "") -> Path:
    """Make a key pair; the public half is beside the file."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", file], check=True)
    return file


@contextmanager
def ssh_agent(folder: Path, *keys: Path) -> Iterator[Path]:
    """Run an SSH agent that holds the given keys. Yield the path of its socket."""
    socket_file = folder / "agent"
    own = {**os.environ, "SSH_AUTH_SOCK": str(socket_file)}
    with subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_file)], stdout=subprocess.DEVNULL) as agent:
        try:
            # The socket exists shortly before the agent listens. Exit code 2 means that nothing answers there.
            eventually(lambda: subprocess.run(["ssh-add", "-l"], env=own, check=False).returncode != 2, "it listens")
            subprocess.run(["ssh-add", "-q", *map(str, keys)], env=own, check=True)
            yield socket_file
        finally:
            agent.terminate()


class OpenSsh:
    """One sshd, on the loopback interface or in its own network. Its user ``tester`` has ``home`` and a login shell.

    The user exists only for this server. The server and its processes run in their own namespaces, and end with it.
    """

    def __init__(
        self,
        folder: Path,
        authorized_key: str,
        *,
        shell: str = "/bin/sh",
        settings: str = "",
        network: OwnNetwork | None = None,
    ) -> None:
        if os.geteuid() != 0 or not Path(SSHD).exists():
            pytest.skip("a real sshd with a user of its own needs root and the package openssh-server")
        if not Path(shell.partition(" ")[0]).exists():
            pytest.skip(f"this machine has no {shell}")
        self.home = folder / "home"
        self.host = network.host if network else "127.0.0.1"
        self._folder = folder
        self._inside = network.inside if network else ()
        self.home.mkdir(parents=True)
        (folder / "authorized_keys").write_text(authorized_key)
        self.set_shell(shell)
        make_key(folder / "host_key")
        self.port = held_port(self)
        (folder / "sshd_config").write_text(self._settings(settings))
        self._log = (folder / "log").open("w")
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        started = subprocess.Popen(
            [*self._inside, *alone, "sh", "-ec", _START.format(sshd=SSHD), str(self._folder)],
            stderr=self._log,
            start_new_session=True,
        )
        eventually(lambda: self._listens(started), "sshd listens")
        return started

    def _listens(self, started: subprocess.Popen[bytes]) -> bool:
        return any(
            child.name() == "sshd" and "listener" in " ".join(child.cmdline())
            for child in psutil.Process(started.pid).children()
        )

    @property
    def _listener(self) -> psutil.Process:
        return psutil.Process(self._process.pid).children()[0]

    def runs(self, *words: str) -> int:
        """Return how many processes with this command line run on the machine."""
        return sum(_words_of(child) == list(words) for child in self._listener.children(recursive=True))

    def reload(self) -> None:
        """Restart sshd with SIGHUP, as restarting its service does. Existing sessions continue."""
        before = (self._folder / "log").read_text().count("Server listening")
        self._listener.send_signal(signal.SIGHUP)
        eventually(lambda: (self._folder / "log").read_text().count("Server listening") > before, "sshd listens again")

    def end_sessions(self) -> None:
        """Kill the sshd process of each session. Commands in the sessions keep running."""
        for child in self._listener.children():
            with suppress(psutil.NoSuchProcess):
                if child.name() == "sshd":
                    child.kill()

    def pause(self) -> None:
        """Stop the processes of all connections, as a hanging machine does."""
        for process in self._listener.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                process.suspend()

    def reboot(self) -> None:
        """Kill all processes of the machine at once, as a power cut does, and start it again."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = self._start()

    def _settings(self, more: str) -> str:
        own = more if "Subsystem" in more else f"Subsystem sftp internal-sftp\n{more}"
        return (
            f"Port {self.port}\nListenAddress {self.host}\nHostKey {self._folder}/host_key\nPidFile none\n"
            f"AuthorizedKeysFile {self._folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            f"{'' if 'MaxStartups' in more else 'MaxStartups 1000'}\n{own}"
        )

    def set_shell(self, shell: str) -> None:
        """Change the user's login shell. This also works while the server runs."""
        passwd = Path("/etc/passwd").read_text() + f"tester:x:0:0::{self.home}:{shell}\n"
        (self._folder / "passwd").write_text(passwd)

    def stop(self) -> None:
        """Stop the server and all its processes."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)
