"""One SSH connection to one node: runs commands, returns their output and detects a lost connection."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import gevent
import gevent.lock
import paramiko
from paramiko.channel import Channel

from dtk.errors import DtkError
from dtk.ssh.connect import close_all
from dtk.ssh.delimited import EchoError
from dtk.ssh.exchange import Exchange, GiveBytes, Input
from dtk.ssh.session_channel import OpeningChannel
from dtk.ssh.transport import Transport

KEEPALIVE_SECONDS = 15.0
ANSWER_SECONDS = 30.0
"""A node that sends nothing for this long after a keepalive is lost: at most 45 s after its last sign of life."""
_LOOKS = 30
"""How often within a time dtk looks whether something came. On a clock alone, a process that is too busy to read an
answer would take a node for lost; between two looks, it reads some of what is there."""
LOGIN_SECONDS = 60.0
"""How long a login may take until it starts the command."""
_LOOK_SECONDS = 2.0
"""Interval between checks for a command that ended without printing its end mark."""
_CLOSING_SECONDS = 1.0
"""How long a channel may stay open after its command ended before dtk checks whether another process holds it open."""
_MOST_ROUNDS = 20
"""Maximum number of extra reads when output continues after a command was killed."""
_SESSION_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Pauses between attempts to open a session: sshd frees a session shortly after its channel closes (MaxSessions)."""


class ConnectionLostError(DtkError):
    """The connection to a node was lost while a command ran there."""

    @classmethod
    def of(cls, node: str) -> ConnectionLostError:
        """Return the error for the loss of a node's connection."""
        return cls(
            f"the connection to {node} was lost: the node went down or rebooted, or the network failed",
            hint="when the node is up again: dtk apply --resume",
        )


class NoSessionError(DtkError):
    """The node's SSH server does not allow another command on this connection at present."""


class NoShellError(DtkError):
    """The login answers, but runs something other than the requested command, or never reaches it."""


@dataclass(frozen=True)
class Ended:
    """The end of a command: its exit code (-1 if unknown), and whether a process it left behind holds its output."""

    code: int
    output_is_held: bool = False


class SshConnection:
    """An open, monitored connection. It is opened once; after a loss it is never reused."""

    def __init__(self, node: str, clients: list[paramiko.SSHClient]) -> None:
        self._node = node
        self._clients = clients
        # Paramiko treats the next reply as the answer to every pending request, so only one may be pending.
        self._asking = gevent.lock.BoundedSemaphore()
        self._ahead: OpeningChannel | None = None
        self._opens_ahead = True
        self._watch = gevent.spawn(self._keep_alive)

    @property
    def is_alive(self) -> bool:
        """Whether the connection can still run commands."""
        transport = self._clients[-1].get_transport()
        return transport is not None and transport.is_active()

    @property
    def host_key(self) -> paramiko.PKey | None:
        """The host key that the machine presented."""
        transport = self._clients[-1].get_transport()
        return transport.get_remote_server_key() if transport else None

    def await_loss(self) -> None:
        """Wait until the connection can no longer run commands."""
        transport = self._clients[-1].get_transport()
        if transport is not None:
            transport.join()

    def close(self) -> None:
        """Close the connection; processes on the node that use it continue to run."""
        self._watch.kill(block=False)
        close_all(self._clients)

    def _keep_alive(self) -> None:
        # Paramiko's own keepalive requests no reply, so it cannot detect that the node is gone.
        transport = self._clients[-1].get_transport()
        while isinstance(transport, Transport) and transport.is_active():
            received = transport.received
            gevent.sleep(KEEPALIVE_SECONDS)
            if transport.received == received:
                self._ask_for_a_sign()

    def _ask_for_a_sign(self) -> None:
        """Wait for one reply from the node; everything that it sent earlier has then been received."""
        transport = self._clients[-1].get_transport()
        if not isinstance(transport, Transport):
            return
        with self._asking:
            asking = gevent.spawn(transport.ask_for_reply)
            try:
                if not _answers(asking, transport):
                    transport.close()
            finally:
                asking.kill()

    def _transport(self) -> paramiko.Transport:
        transport = self._clients[-1].get_transport()
        if transport is None or not transport.is_active():
            raise self.connection_lost()
        return transport

    def connection_lost(self) -> ConnectionLostError:
        """Return the error for a lost connection to this node."""
        return ConnectionLostError.of(self._node)

    def run(self, command: str, give: GiveBytes, stdin: Input = b"") -> Ended:
        """Run a command and pass on its output as it arrives: every byte of it, without what the login prints.

        The command is over when its end marks have been read on both streams, or both streams have ended. No timeout
        ends it.

        Args:
            command: for a POSIX shell, whatever the login shell is.
            give: receives the bytes of each stream.
            stdin: the command's standard input, as a whole or in pieces; it is closed afterwards.

        Raises:
            ConnectionLostError: the connection was lost before the command ended.
            NoSessionError: the node allows no more commands at a time.
            NoShellError: the login runs no commands, runs them on a terminal, or did not start this one within
                ``LOGIN_SECONDS``.
        """
        try:
            channel = self._session()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._failed(error) from None
        exchange = None
        try:
            exchange = Exchange(channel, command, give, stdin)
            self._open_ahead()
            self._await_end(exchange)
            return self._ended(exchange)
        except (EOFError, paramiko.SSHException) as error:
            raise self._failed(error) from None
        except EchoError:
            raise self._merged() from None
        finally:
            if exchange:
                exchange.stop()
            channel.close()

    def _open_ahead(self) -> None:
        """Request the channel of the next command while this one runs, unless the server has ever refused that."""
        if self._ahead is None and self._opens_ahead:
            self._ahead = OpeningChannel(self._transport())

    def _session(self) -> Channel:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            with suppress(paramiko.ChannelException):
                channel = ahead.opened()
                if not channel.closed:
                    return channel
            self._opens_ahead = False
        for pause in _SESSION_PAUSES:
            try:
                return OpeningChannel(self._transport()).opened()
            except paramiko.ChannelException:
                gevent.sleep(pause)
        try:
            return OpeningChannel(self._transport()).opened()
        except paramiko.ChannelException as error:
            raise NoSessionError(
                f"{self._node} does not allow another command on its connection: {error.args[-1]}",
                hint="check MaxSessions in its sshd_config, and the options of this key in its authorized_keys"
                " (restrict and no-pty are fine)",
            ) from None

    def _failed(self, error: Exception) -> DtkError:
        return DtkError(f"{self._node} can't run a command: {error}") if self.is_alive else self.connection_lost()

    def _await_end(self, exchange: Exchange) -> None:
        rounds = 0
        while not exchange.wait(_LOOK_SECONDS):
            if not exchange.has_begun and exchange.seconds_since_sent > LOGIN_SECONDS:
                self._await_begin(exchange)
            # A command whose shell was killed prints no end mark, and a process that it left behind may hold its output
            # open forever. All output has been read once the node has replied and nothing new came before the reply.
            # After the end of the channel, nothing comes any more.
            if exchange.channel.exit_status_ready() and not exchange.channel.closed:
                before = exchange.arrived
                self._ask_for_a_sign()
                rounds += exchange.has_read(before)
                if rounds > _MOST_ROUNDS or (exchange.has_read(exchange.arrived) and exchange.arrived == before):
                    return

    def _await_begin(self, exchange: Exchange) -> None:
        """Raise an error if the command has not begun after everything that the node sent so far has been read."""
        self._ask_for_a_sign()
        if exchange.wait(_LOOK_SECONDS) or exchange.has_begun:
            return
        if not self.is_alive:
            raise self.connection_lost()
        raise NoShellError(
            f"the login on {self._node} did not start the command within {LOGIN_SECONDS:.0f} s"
            + (f": it printed '{exchange.noise}' and continues" if exchange.noise else ""),
            hint="check what its login shell waits for: .bashrc, .profile, or a home folder on an unreachable server",
        )

    def _ended(self, exchange: Exchange) -> Ended:
        channel, code = exchange.channel, exchange.code
        if code is None:
            return self._ended_without_mark(exchange)
        if not any(exchange.wait_for_close(_CLOSING_SECONDS / _LOOKS) for _ in range(_LOOKS)):
            self._ask_for_a_sign()
        return Ended(code, output_is_held=not (channel.eof_received or channel.closed))

    def _ended_without_mark(self, exchange: Exchange) -> Ended:
        code = exchange.channel.recv_exit_status()
        if code == -1:
            # When a connection breaks, its channels end before it does.
            self._ask_for_a_sign()
            if not self.is_alive:
                raise self.connection_lost()
        if not exchange.has_begun:
            raise self._no_shell(exchange.noise, code)
        if code >= 0 and not exchange.has_begun_on_both:
            raise self._merged()
        # The shell around the command exits with 0 only after it has printed the end mark.
        return Ended(code or -1, output_is_held=not (exchange.channel.eof_received or exchange.channel.closed))

    def _merged(self) -> NoShellError:
        return NoShellError(
            f"the login on {self._node} runs commands on a terminal, where errors cannot be separated from output",
            hint="dtk asks for no terminal: remove what allocates one: a ForceCommand in sshd_config, a command= in"
            " authorized_keys or a login shell that runs script, tmux or ssh -t",
        )

    def _no_shell(self, noise: str, code: int) -> NoShellError:
        answered = f"it answered '{noise}'" if noise else "it answered nothing"
        return NoShellError(
            f"the login on {self._node} runs no commands: {answered} and ended"
            + (f" with code {code}" if code >= 0 else ""),
            hint="dtk needs an account whose shell runs sh: see its login shell (chsh -s /bin/sh),"
            " ForceCommand in sshd_config and command= in authorized_keys",
        )


def _answers(asking: gevent.Greenlet, transport: Transport) -> bool:
    """Wait for the end of a request; return whether it ended before the node had been silent for too long."""
    received, silent = transport.received, 0
    while silent < _LOOKS:
        asking.join(ANSWER_SECONDS / _LOOKS)
        if asking.ready():
            return True
        silent = silent + 1 if transport.received == received else 0
        received = transport.received
    return False
