"""A machine for tests whose SSH server is OpenSSH's own, with a login shell and settings of the test's choice."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

SSHD = "/usr/sbin/sshd"
_START = """
mount --bind "$0/passwd" /etc/passwd
mkdir -p /run/sshd
exec {sshd} -D -e -f "$0/sshd_config"
"""


class OpenSsh:
    """One sshd on the loopback; its user ``tester`` has ``home`` and a login shell.

    The user is known to this server only: it and its processes live in namespaces of their own, and end with it.
    """

    def __init__(self, folder: Path, authorized_key: str, *, shell: str = "/bin/sh", settings: str = "") -> None:
        if os.geteuid() != 0 or not Path(SSHD).exists():
            pytest.skip("a real sshd with a user of its own needs root and the package openssh-server")
        if not Path(shell.partition(" ")[0]).exists():
            pytest.skip(f"this machine has no {shell}")
        self.home = folder / "home"
        self.host = "127.0.0.1"
        self._folder = folder
        self.home.mkdir(parents=True)
        (folder / "authorized_keys").write_text(authorized_key)
        passwd = Path("/etc/passwd").read_text() + f"tester:x:0:0::{self.home}:{shell}\n"
        (folder / "passwd").write_text(passwd)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host_key"], check=True)
        with socket.create_server((self.host, 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "sshd_config").write_text(self._settings(settings))
        self._log = (folder / "log").open("w")
        alone = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        self._process = subprocess.Popen(
            [*alone, "sh", "-ec", _START.format(sshd=SSHD), str(folder)], stderr=self._log, start_new_session=True
        )

    def _settings(self, more: str) -> str:
        own = more if "Subsystem" in more else f"Subsystem sftp internal-sftp\n{more}"
        return (
            f"Port {self.port}\nListenAddress {self.host}\nHostKey {self._folder}/host_key\nPidFile none\n"
            f"AuthorizedKeysFile {self._folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            f"MaxStartups 1000\n{own}"
        )

    def stop(self) -> None:
        """End it and all that runs there."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
        shutil.rmtree(self.home, ignore_errors=True)
