"""An SSH server for tests that runs commands as real processes of this machine and counts logins."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncssh

from tests.support.ports import held_port


class _Loop:
    """The event loop thread that all servers of a test run share."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=20)


class SshServer:
    """A test machine: its files are in ``home`` and its commands run as real processes of this machine."""

    _thread: _Loop | None = None

    def __init__(self, home: Path, client_key: asyncssh.SSHKey, port: int = 0) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self.home = home
        self.host = "127.0.0.1"
        self.port = port or held_port(self)
        self.logins = 0
        self.channels = 0
        self.host_key = asyncssh.generate_private_key("ssh-ed25519")
        self._client_key = client_key
        self._connections: list[asyncssh.SSHServerConnection] = []
        self._acceptor: asyncssh.SSHAcceptor | None = None

    @classmethod
    def thread(cls) -> _Loop:
        if cls._thread is None:
            cls._thread = _Loop()
        return cls._thread

    def start(self) -> SshServer:
        self.thread().run(self._start())
        return self

    async def _start(self) -> None:
        keys = asyncssh.import_authorized_keys(self._client_key.export_public_key().decode())
        self._acceptor = await asyncssh.listen(
            self.host,
            self.port,
            server_factory=lambda: _Visitor(self),
            server_host_keys=[self.host_key],
            authorized_client_keys=keys,
            process_factory=self._process,
            sftp_factory=True,
            encoding=None,
            line_editor=False,
        )

    def stop(self) -> None:
        self.thread().run(self._stop())

    async def _stop(self) -> None:
        if self._acceptor:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        self._drop()

    @staticmethod
    def kill(*pids: int) -> None:
        """Kill processes that a test left running on purpose."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def drop_connections(self) -> None:
        """Drop all connections, as when a machine loses power. The server keeps listening."""
        self.thread().loop.call_soon_threadsafe(self._drop)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Make all servers unresponsive, as if the network were down."""
        go_on = threading.Event()
        self.thread().loop.call_soon_threadsafe(go_on.wait)
        try:
            yield
        finally:
            go_on.set()

    def _drop(self) -> None:
        for connection in self._connections:
            connection.abort()
        self._connections.clear()

    async def _process(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        self.channels += 1
        with contextlib.suppress(BrokenPipeError, ConnectionError, asyncssh.Error):
            await _run(process, self.home)


class _Visitor(asyncssh.SSHServer):
    def __init__(self, server: SshServer) -> None:
        self._server = server

    def connection_made(self, connection: asyncssh.SSHServerConnection) -> None:
        self._server._connections.append(connection)

    def begin_auth(self, username: str) -> bool:
        return True

    def auth_completed(self) -> None:
        self._server.logins += 1

    def connection_requested(self, *_: Any) -> bool:
        return True


async def _run(process: asyncssh.SSHServerProcess[bytes], home: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        "/bin/sh",
        "-c",
        process.command or "exit 0",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=home,
        # All servers run on this machine, and dtk ends unfinished commands of earlier tasks: DTK_NODE tells them apart.
        env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", "DTK_NODE": str(home)},
        start_new_session=True,
    )
    assert child.stdin
    assert child.stdout
    assert child.stderr
    feeding = asyncio.ensure_future(_feed(process, child.stdin))
    reading = asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
    code = await child.wait()
    feeding.cancel()
    # A daemon that a command leaves behind can keep its output open. sshd would wait forever; this server doesn't.
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(reading, 10)
    process.exit(code if code >= 0 else 255)


async def _feed(process: asyncssh.SSHServerProcess[bytes], target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while chunk := await process.stdin.read(65536):
            target.write(chunk)
            await target.drain()
        target.close()


async def _pump(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    with contextlib.suppress(OSError, asyncssh.Error):
        while chunk := await source.read(65536):
            target.write(chunk)
            await target.drain()
