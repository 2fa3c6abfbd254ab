"""The SSH server of one local node: runs commands and serves sftp and scp, for a single client key."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shlex
import socket
from importlib import import_module
from pathlib import Path

import asyncssh

from dtk.nodes.local.answers import load_answers
from dtk.nodes.local.children import Children
from dtk.nodes.local.confinement import adopt_orphans, forget_inherited_signals, give_up_privileges
from dtk.nodes.local.environment import node_environment
from dtk.nodes.local.session import session_handler
from dtk.nodes.local.settings import ServerSettings

_UMASK = 0o022
_SHELLS = ("/bin/bash", "/bin/sh")
_KEEPALIVE_SECONDS = 30
# Modules that Python loads on first use: by then the node's user may not be allowed to read dtk's Python.
_LOADED_LATE = ("concurrent.futures.thread", "encodings.idna", "grp", "linecache", "stringprep", "unicodedata")


def run(settings_file: str, descriptor: int) -> None:
    """Serve until killed.

    Args:
        settings_file: the node's server.json.
        descriptor: a listening socket.

    Raises:
        OSError: the privileges could not be dropped; nothing was served then.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    settings = ServerSettings(**json.loads(Path(settings_file).read_text(encoding="utf-8")))
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    host_key = asyncssh.read_private_key(settings.host_key_file)
    for module in _LOADED_LATE:
        import_module(module)
    forget_inherited_signals()
    adopt_orphans()
    give_up_privileges(settings.user)
    _prepare_home(settings)
    asyncio.run(_serve(settings, listening, host_key))


def _prepare_home(settings: ServerSettings) -> None:
    os.umask(_UMASK)
    home = Path(settings.home)
    # Relative paths of sftp start here, too.
    os.chdir(home)
    for name in ("bin", "tmp"):
        (home / name).mkdir(exist_ok=True)
    # A script, not a link: some builds of Python, started through a link, create broken virtual environments.
    python = home / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(settings.python)} "$@"\n', encoding="utf-8")
    python.chmod(0o755)


async def _serve(settings: ServerSettings, listening: socket.socket, host_key: asyncssh.SSHKey) -> None:
    shell = next(shell for shell in _SHELLS if Path(shell).exists())
    children = Children(settings.home, node_environment(settings.marker, settings.home, settings.user, shell))
    await asyncssh.listen(
        sock=listening,
        server_factory=lambda: _Login(settings),
        server_host_keys=[host_key],
        process_factory=session_handler(children, shell, load_answers(settings.marker.rpartition("/")[2])),
        sftp_factory=_Files,
        allow_scp=True,
        encoding=None,
        line_editor=False,
        agent_forwarding=False,
        gss_host=None,
        keepalive_interval=_KEEPALIVE_SECONDS,
    )
    await asyncio.get_running_loop().create_future()


class _Files(asyncssh.SFTPServer):
    """The SFTP server; on exit it reports exit code 0, as OpenSSH's sftp-server does and scp expects."""

    def exit(self) -> None:
        # asyncssh's scp, which uses this class as well, reports its own exit code.
        if self.channel.get_subsystem() == "sftp":
            self.channel.exit(0)


class _Login(asyncssh.SSHServer):
    """One client's connection: only the node's user may log in, with the one key; forwarding is allowed."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn

    def begin_auth(self, username: str) -> bool:
        if self._connection is not None and username == self._settings.user:
            self._connection.set_authorized_keys(asyncssh.import_authorized_keys(self._settings.client_key))
        return True

    def connection_requested(self, *_: object) -> bool:
        # A node can be a jump host, like any machine with sshd.
        return True
