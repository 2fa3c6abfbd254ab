"""One SSH connection to one node: commands and files go over it, and its loss is noticed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import gevent
import paramiko

from dtk.errors import DtkError
from dtk.ssh.connect import close_all
from dtk.ssh.output import LineSplitter, Stream

KEEPALIVE_SECONDS = 15.0
ANSWER_SECONDS = 30.0
"""A node that leaves a keepalive unanswered for so long is lost: 45 s after its last sign of life at most."""
_QUIET_SECONDS = 1.0
_CHUNK = 64 * 1024

GiveLine = Callable[[Stream, str], None]
Input = bytes | Iterable[bytes]


class NodeLostError(DtkError):
    """The connection to a node broke while something ran there."""


class SshConnection:
    """An open connection, watched; it is opened once and, when lost, never used again."""

    def __init__(self, node: str, clients: list[paramiko.SSHClient]) -> None:
        self._node = node
        self._clients = clients
        self._sftp: paramiko.SFTPClient | None = None
        self._watch = gevent.spawn(self._keep_alive)

    @property
    def is_alive(self) -> bool:
        """Whether commands can still be run over it."""
        transport = self._clients[-1].get_transport()
        return transport is not None and transport.is_active()

    def close(self) -> None:
        """Close it; what runs on the node over it goes on there."""
        self._watch.kill(block=False)
        close_all(self._clients)

    def _keep_alive(self) -> None:
        # Paramiko's own keepalive asks for no answer, so it can't tell that nobody is there any more.
        transport = self._transport()
        while transport.is_active():
            gevent.sleep(KEEPALIVE_SECONDS)
            with gevent.Timeout(ANSWER_SECONDS, False):
                transport.global_request("keepalive@openssh.com", wait=True)
                continue
            transport.close()

    def _transport(self) -> paramiko.Transport:
        transport = self._clients[-1].get_transport()
        if transport is None or not transport.is_active():
            raise self.lost()
        return transport

    def lost(self) -> NodeLostError:
        """Return the error that says that this node is gone."""
        return NodeLostError(
            f"the connection to {self._node} is lost: it went down, rebooted, or the network between broke",
            hint="when the node is up again: apply --resume",
        )

    def sftp(self) -> paramiko.SFTPClient:
        """Return the connection's one channel for files."""
        if self._sftp is None or self._sftp.sock.closed:
            self._sftp = paramiko.SFTPClient.from_transport(self._transport())
        if self._sftp is None:
            raise self.lost()
        return self._sftp

    def run(self, command: str, give: GiveLine, stdin: Input = b"") -> int:
        """Run a command and give its output line by line as it comes.

        Args:
            command: for the login shell of the node.
            give: takes each line with its stream.
            stdin: what the command reads, at once or piece by piece; then its standard input ends.

        Returns:
            The exit code; -1 when the command was ended by a signal.

        Raises:
            NodeLostError: the connection broke before the command ended.
        """
        try:
            channel = self._transport().open_session()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._failed(error) from None
        try:
            return self._run(channel, command, give, stdin)
        except (EOFError, paramiko.SSHException, OSError) as error:
            raise self._failed(error) from None
        finally:
            channel.close()

    def _failed(self, error: Exception) -> DtkError:
        return DtkError(f"{self._node} can't run a command: {error}") if self.is_alive else self.lost()

    def _run(self, channel: paramiko.Channel, command: str, give: GiveLine, stdin: Input) -> int:
        channel.exec_command(command)
        pumps = [_Pump(channel.recv, "stdout", give), _Pump(channel.recv_stderr, "stderr", give)]
        try:
            for piece in (stdin,) if isinstance(stdin, bytes) else stdin:
                channel.sendall(piece)
            channel.shutdown_write()
            code = channel.recv_exit_status()
            _drain(pumps)
        finally:
            for pump in pumps:
                pump.stop()
        if code == -1 and not self.is_alive:
            raise self.lost()
        return code


class _Pump:
    """A greenlet that reads one stream of a channel to its end."""

    def __init__(self, receive: Callable[[int], bytes], stream: Stream, give: GiveLine) -> None:
        self.received = 0
        self._receive = receive
        self._lines = LineSplitter(lambda line: give(stream, line))
        self.greenlet = gevent.spawn(self._pump)

    def _pump(self) -> None:
        while chunk := self._receive(_CHUNK):
            self.received += len(chunk)
            self._lines.feed(chunk)
            # A stream that never runs dry must not keep heartbeats and signals from their turn.
            gevent.sleep(0)

    def stop(self) -> None:
        self.greenlet.kill()
        self._lines.end()


def _drain(pumps: list[_Pump]) -> None:
    """Read what is left after a command ended. A daemon it left behind may hold the streams open: silence is an end."""
    greenlets = [pump.greenlet for pump in pumps]
    before = -1
    while before != (received := sum(pump.received for pump in pumps)):
        before = received
        if len(gevent.joinall(greenlets, timeout=_QUIET_SECONDS)) == len(greenlets):
            return
