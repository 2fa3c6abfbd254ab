"""One local node as a machine: its files, and how it is powered on and erased."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import paramiko

import dtk
from dtk.disk.files import make_private_folder, replace_file
from dtk.errors import DtkError
from dtk.nodes.keys import ensure_key
from dtk.nodes.local.environment import server_environment
from dtk.nodes.local.processes import SERVER_MODULE
from dtk.nodes.local.registry import Allocation
from dtk.nodes.local.settings import ServerSettings
from dtk.nodes.provider import ServiceIdentity
from dtk.nodes.reach import host_key
from dtk.nodes.registry import node_key
from dtk.state.identity import short_lineage

ROOTS_NODES = Path("/var/lib/dtk/nodes")
"""Parent folder of nodes' disks if dtk runs as root: their owner, nobody, can't enter .dtk."""

_BOOT_SECONDS = 120.0
_BOOT_POLL_SECONDS = 0.1
_LOG_TAIL = 2000


@dataclass(frozen=True)
class Machine:
    """A local node: its unique name (``marker``), its folder in the workspace, its allocation."""

    node: str
    marker: str
    folder: Path
    allocation: Allocation

    @staticmethod
    def at(folder: Path, node: str, marker: str, allocation: Allocation) -> Machine:
        """Return the machine of a node, from its service's folder ``.dtk/services/NAME``."""
        return Machine(node, marker, folder / "nodes" / folder_name(node), allocation)

    @property
    def id(self) -> str:
        """The marker in short form, for people: ``1f3a9c20/slaves:1``."""
        return f"{short_lineage(self.marker.partition('/')[0])}/{self.node}"

    @property
    def home(self) -> Path:
        """The folder that serves as the node's disk."""
        return Path(self.allocation.home)

    @property
    def host_key_file(self) -> Path:
        """The file of the private host key."""
        return self.folder / "host_key"

    @property
    def settings_file(self) -> Path:
        """The settings file of its server."""
        return self.folder / "server.json"

    @property
    def log(self) -> Path:
        """The log file of its server."""
        return self.folder / "server.log"


def folder_name(node: str) -> str:
    """Return a node's name for use in paths: a colon would end an entry of PATH, and venv refuses it."""
    return node.replace(":", ".")


def new_home(identity: ServiceIdentity, node: str) -> Path:
    """Return the folder for the disk of a new node.

    Raises:
        DtkError: the workspace's path contains a colon.
    """
    name = folder_name(node)
    home = ROOTS_NODES / identity.lineage / name
    if os.geteuid() != 0:
        home = (identity.folder / "nodes" / name / "home").absolute()
    if ":" in str(home):
        raise DtkError(
            f"cannot create a local node in '{home}': Python's venv does not allow a colon in the path",
            hint="move the workspace",
        )
    return home


def machine_of(identity: ServiceIdentity, node: str, allocation: Allocation) -> Machine:
    """Return the machine that a node's allocation describes."""
    return Machine.at(identity.folder, node, node_key(identity, node), allocation)


def make_disk(machine: Machine) -> None:
    """Create the node's folder and its home if they are missing."""
    make_private_folder(machine.folder)
    if ROOTS_NODES not in machine.home.parents:
        make_private_folder(machine.home)
        return
    while not machine.home.is_dir():
        # Another service may remove an empty folder between two of these steps when its last node ends.
        with suppress(FileNotFoundError):
            _make_open_folders(machine.home)
    user = pwd.getpwnam(machine.allocation.user)
    # Do not follow a link: the node's own user may have replaced the folder by one.
    os.chown(machine.home, user.pw_uid, user.pw_gid, follow_symlinks=False)
    machine.home.chmod(0o700)


def _make_open_folders(home: Path) -> None:
    """Create the parent folders of a home and the home itself, owned by root and accessible to all."""
    for folder in (*reversed(home.parents), home):
        if not folder.is_dir():
            folder.mkdir(exist_ok=True)
            folder.chmod(0o755)


def switch_on(
    machine: Machine, listening: socket.socket, python: str, client_key: str, identity: ServiceIdentity
) -> None:
    """Start the node's SSH server as a separate process; ``wait_until_up`` waits until it serves.

    Args:
        machine: the node; its disk exists, and it has no processes.
        listening: the server's socket; closed here.
        python: the path of the node's Python.
        client_key: the only public key that may log in.
        identity: the node's service.
    """
    ensure_key(machine.host_key_file)
    settings = ServerSettings(
        marker=machine.marker,
        home=machine.allocation.home,
        user=machine.allocation.user,
        python=python,
        host_key_file=str(machine.host_key_file),
        client_key=client_key,
        workspace=identity.workspace,
        origin=identity.origin,
        version=dtk.__version__,
    )
    replace_file(machine.settings_file, json.dumps(asdict(settings), indent=2) + "\n")
    # The socket listens before the server runs: early connections wait in its queue and are not refused.
    with listening, machine.log.open("ab") as log:
        arguments = [machine.marker, str(machine.settings_file), str(listening.fileno())]
        launcher = subprocess.Popen(
            [*_no_root_prefix(), sys.executable, "-P", "-m", SERVER_MODULE, *arguments],
            env=server_environment(machine.marker, str(Path(dtk.__file__).parents[1])),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[listening.fileno()],
            start_new_session=True,
        )
    # The launcher exits at once, so that the server is no child of a dtk process.
    launcher.wait()


def _no_root_prefix() -> list[str]:
    """Return the command prefix that disables setuid programs such as sudo on macOS; on Linux see ``confinement``."""
    return ["sandbox-exec", "-p", "(version 1)(allow default)"] if sys.platform == "darwin" else []


def wait_until_up(machine: Machine) -> str:
    """Wait until the node's SSH server proves possession of the node's host key; return the public key.

    Raises:
        DtkError: the server ended, or did not start within two minutes; the message includes the end of its log.
    """
    expected = ensure_key(machine.host_key_file)
    deadline = time.monotonic() + _BOOT_SECONDS
    while True:
        try:
            if host_key(machine.allocation.address, machine.allocation.port) == expected:
                return expected
            problem = "another SSH server is listening at its address"
        except ConnectionRefusedError:
            # The socket listened before the server was started, so no process holds it any more.
            raise DtkError(f"the SSH server of node '{machine.node}' exited: {_log_tail(machine)}") from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            problem = str(error)
        if time.monotonic() > deadline:
            raise DtkError(f"could not connect to node '{machine.node}': {problem}; {_log_tail(machine)}")
        time.sleep(_BOOT_POLL_SECONDS)


def _log_tail(machine: Machine) -> str:
    try:
        return machine.log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:].strip() or "its log is empty"
    except OSError as error:
        return f"its log cannot be read: {error}"


def erase(machine: Machine) -> None:
    """Remove the node's disk and its folder, and parent folders that are empty afterwards."""
    _remove_tree(machine.home)
    if ROOTS_NODES in machine.home.parents:
        for folder in (machine.home.parent, ROOTS_NODES, ROOTS_NODES.parent):
            _remove_empty(folder)
    _remove_tree(machine.folder)
    _remove_empty(machine.folder.parent)


def _remove_tree(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except PermissionError:
        # Entries of a read-only folder can't be removed; Go creates such folders.
        _make_writable(folder)
        shutil.rmtree(folder)


def _make_writable(folder: Path) -> None:
    folder.chmod(0o700)
    for parent, folders, _ in os.walk(folder):
        for path in (Path(parent, name) for name in folders):
            if not path.is_symlink():
                path.chmod(0o700)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
