"""One SSH connection to one node: commands run over it and their bytes come back, and its loss is noticed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

import gevent
import gevent.lock
import paramiko
from gevent.event import Event
from paramiko.buffered_pipe import BufferedPipe

from dtk.errors import DtkError
from dtk.ssh.connect import close_all
from dtk.ssh.delimited import LOGIN_COMMAND, Delimiter, EchoError, OwnOutput
from dtk.ssh.output import Stream

KEEPALIVE_SECONDS = 15.0
ANSWER_SECONDS = 30.0
"""A node that leaves a keepalive unanswered for so long is lost: 45 s after its last sign of life at most."""
LOGIN_SECONDS = 60.0
"""How long a login may take to come to the command that it is given."""
_CHUNK = 64 * 1024
_LOOK_SECONDS = 2.0
"""How often a command that ended without its last mark is looked for."""
_CLOSING_SECONDS = 1.0
"""How long the end of a channel may take after the command's own end before the node is asked who holds it open."""
_MOST_ROUNDS = 20
"""How often what goes on printing after a command was killed is read again."""
_SESSION_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""Seconds to wait for a session: sshd frees the one before a moment after its channel is closed (MaxSessions)."""

GiveBytes = Callable[[Stream, bytes], None]
Input = bytes | Iterable[bytes]


class ConnectionLostError(DtkError):
    """The connection to a node broke while something ran there."""


class NoSessionError(DtkError):
    """The node's SSH server lets no more commands run over this connection at present."""


class NoShellError(DtkError):
    """The login answers, but runs something else than the command it is given, or never comes to it."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, -1 when nobody said one; whether what it left behind holds its output."""

    code: int
    output_is_held: bool = False


class SshConnection:
    """An open connection, watched; it is opened once and, when lost, never used again."""

    def __init__(self, node: str, clients: list[paramiko.SSHClient]) -> None:
        self._node = node
        self._clients = clients
        # Paramiko takes the next answer, whoever asked, for everybody's.
        self._asking = gevent.lock.BoundedSemaphore()
        self._watch = gevent.spawn(self._keep_alive)

    @property
    def is_alive(self) -> bool:
        """Whether commands can still be run over it."""
        transport = self._clients[-1].get_transport()
        return transport is not None and transport.is_active()

    @property
    def host_key(self) -> paramiko.PKey | None:
        """The key that the machine has shown."""
        transport = self._clients[-1].get_transport()
        return transport.get_remote_server_key() if transport else None

    def close(self) -> None:
        """Close it; what runs on the node over it goes on there."""
        self._watch.kill(block=False)
        close_all(self._clients)

    def _keep_alive(self) -> None:
        # Paramiko's own keepalive asks for no answer, so it can't tell that nobody is there any more.
        while self.is_alive:
            gevent.sleep(KEEPALIVE_SECONDS)
            self._ask_for_a_sign()

    def _ask_for_a_sign(self) -> None:
        """Wait for one answer of the node; all that it sent before has then been taken in."""
        transport = self._clients[-1].get_transport()
        if transport is None:
            return
        with self._asking, gevent.Timeout(ANSWER_SECONDS, False):
            transport.global_request("keepalive@openssh.com", wait=True)
            return
        transport.close()

    def _transport(self) -> paramiko.Transport:
        transport = self._clients[-1].get_transport()
        if transport is None or not transport.is_active():
            raise self.connection_lost()
        return transport

    def connection_lost(self) -> ConnectionLostError:
        """Return the error that says that this node is gone."""
        return ConnectionLostError(
            f"the connection to {self._node} was lost: the node went down or rebooted, or the network failed",
            hint="when the node is up again: dtk apply --resume",
        )

    def run(self, command: str, give: GiveBytes, stdin: Input = b"") -> Ended:
        """Run a command and give its output as it comes, every byte of it, and nothing that its login prints.

        It is over when the marks around it have been read on both streams, or both have ended. No clock says so.

        Args:
            command: for a POSIX shell, whatever the login shell is.
            give: takes the bytes of each stream.
            stdin: what the command reads, at once or piece by piece; then its standard input ends.

        Raises:
            ConnectionLostError: the connection broke before the command ended.
            NoSessionError: the node allows no more commands at a time.
            NoShellError: the login runs no commands, runs them on a terminal, or did not come to this one within
                ``LOGIN_SECONDS``.
        """
        try:
            channel = self._session()
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise self._failed(error) from None
        exchange = None
        try:
            exchange = _Exchange(channel, command, give, stdin)
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

    def _session(self) -> paramiko.Channel:
        for pause in _SESSION_PAUSES:
            try:
                return self._transport().open_session()
            except paramiko.ChannelException:
                gevent.sleep(pause)
        try:
            return self._transport().open_session()
        except paramiko.ChannelException as error:
            raise NoSessionError(
                f"{self._node} does not allow another command on its connection: {error.args[-1]}",
                hint="see MaxSessions in its sshd_config, and what permits this key (restrict, no-pty are fine)",
            ) from None

    def _failed(self, error: Exception) -> DtkError:
        return DtkError(f"{self._node} can't run a command: {error}") if self.is_alive else self.connection_lost()

    def _await_end(self, exchange: _Exchange) -> None:
        rounds, begins_by = 0, time.monotonic() + LOGIN_SECONDS
        while not exchange.wait(_LOOK_SECONDS):
            if not exchange.has_begun and time.monotonic() > begins_by:
                self._await_begin(exchange)
            # A command whose shell was killed marks no end. What it left behind may hold its output for ever, so that
            # all there is has been read once the node has answered, and nothing new has come before the answer.
            if exchange.channel.exit_status_ready():
                before = exchange.arrived
                self._ask_for_a_sign()
                rounds += exchange.has_read(before)
                if rounds > _MOST_ROUNDS or (exchange.has_read(exchange.arrived) and exchange.arrived == before):
                    return

    def _await_begin(self, exchange: _Exchange) -> None:
        """Say that the command has not begun, once all that the node has sent so far has been read."""
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

    def _ended(self, exchange: _Exchange) -> Ended:
        channel, code = exchange.channel, exchange.code
        if code is None:
            return self._ended_without_mark(exchange)
        if not exchange.wait_for_close(_CLOSING_SECONDS):
            self._ask_for_a_sign()
        return Ended(code, output_is_held=not (channel.eof_received or channel.closed))

    def _ended_without_mark(self, exchange: _Exchange) -> Ended:
        code = exchange.channel.recv_exit_status()
        if code == -1:
            # The channels of a connection that breaks end before it does.
            self._ask_for_a_sign()
            if not self.is_alive:
                raise self.connection_lost()
        if not exchange.has_begun:
            raise self._no_shell(exchange.noise, code)
        if code >= 0 and not exchange.has_begun_on_both:
            raise self._merged()
        # The shell around the command ends with success only after the mark.
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


class _Exchange:
    """A command at work on a channel: what is sent to it, and the two streams that come back."""

    def __init__(self, channel: paramiko.Channel, command: str, give: GiveBytes, stdin: Input) -> None:
        self.channel = channel
        self._arriving = (_CountedPipe(), _CountedPipe())
        channel.in_buffer, channel.in_stderr_buffer = self._arriving
        delimiter = Delimiter()
        channel.exec_command(LOGIN_COMMAND)
        self._streams = (
            _Reader(channel.recv, OwnOutput(delimiter, lambda chunk: give("stdout", chunk))),
            _Reader(channel.recv_stderr, OwnOutput(delimiter, lambda chunk: give("stderr", chunk))),
        )
        pieces = (stdin,) if isinstance(stdin, bytes) else stdin
        self._feeder = gevent.spawn(_send, channel, chain((delimiter.around(command),), pieces))

    @property
    def arrived(self) -> tuple[int, ...]:
        """How many bytes of each stream have come from the node, read or not."""
        return tuple(pipe.arrived for pipe in self._arriving)

    @property
    def code(self) -> int | None:
        """The command's exit code, when its end has been seen on both streams."""
        # Both marks carry the code; one alone says that the other stream may still bring output.
        codes = {stream.output.code for stream in self._streams}
        return codes.pop() if len(codes) == 1 else None

    @property
    def has_begun(self) -> bool:
        """Whether the command was reached."""
        return any(stream.output.has_begun for stream in self._streams)

    @property
    def has_begun_on_both(self) -> bool:
        """Whether the command's beginning was seen on both streams."""
        return all(stream.output.has_begun for stream in self._streams)

    @property
    def noise(self) -> str:
        """What was printed before the command, as one line."""
        return " ".join(b" ".join(stream.output.noise for stream in self._streams).decode(errors="replace").split())

    def wait(self, seconds: float) -> bool:
        """Wait so long for the end of both streams, and return whether it has come.

        Raises:
            Exception: what was to be sent can't be read here, or what has come can't be taken.
        """
        gevent.wait([stream.ended for stream in self._streams], timeout=seconds)
        failures = [self._feeder.value, *(stream.greenlet.exception for stream in self._streams)]
        for failure in failures:
            if failure is not None:
                raise failure
        return all(stream.ended.is_set() for stream in self._streams)

    def has_read(self, arrived: tuple[int, ...]) -> bool:
        """Return whether so many bytes of each stream have been read and given on."""
        return all(stream.received >= bytes_ for stream, bytes_ in zip(self._streams, arrived, strict=True))

    def wait_for_close(self, seconds: float) -> bool:
        """Wait so long until nobody can write to the streams any more, and return whether that is so."""
        readers = [stream.greenlet for stream in self._streams]
        return len(gevent.joinall(readers, timeout=seconds)) == len(readers)

    def stop(self) -> None:
        """Read and send no more."""
        gevent.killall([self._feeder, *(stream.greenlet for stream in self._streams)])


class _CountedPipe(BufferedPipe):  # type: ignore[type-arg] # generic in its stubs alone
    """Bytes of a channel that nobody has read yet, and how many there have been.

    A reader that has taken some may have to wait for the channel's lock before it gets on with them, on a busy machine.
    They are then neither here nor read, which only this count shows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrived = 0

    def feed(self, data: bytes | str) -> None:
        """Take what has come."""
        self.arrived += len(data)
        super().feed(data)


class _Reader:
    """A greenlet that reads one stream of a channel to its end."""

    def __init__(self, receive: Callable[[int], bytes], output: OwnOutput) -> None:
        self.received = 0
        self.output = output
        self.ended = Event()
        """Set when the command's end has been read, or the stream's."""
        self._receive = receive
        self.greenlet = gevent.spawn(self._read)

    def _read(self) -> None:
        try:
            while chunk := self._receive(_CHUNK):
                self.output.feed(chunk)
                self.received += len(chunk)
                if self.output.code is not None:
                    self.ended.set()
                # A stream that never runs dry must not keep heartbeats and signals from their turn.
                gevent.sleep(0)
        finally:
            self.output.close()
            self.ended.set()


def _send(channel: paramiko.Channel, pieces: Iterator[bytes]) -> Exception | None:
    """Send a command's standard input; return what went wrong on this side."""
    try:
        for piece in pieces:
            if not _is_sent(channel, piece):
                return None
    except Exception as error:  # whatever reading it here brings up is told where the command is awaited
        return error
    channel.shutdown_write()
    return None


def _is_sent(channel: paramiko.Channel, piece: bytes) -> bool:
    try:
        channel.sendall(piece)
    except OSError:
        # The command ended without reading all of it: how it ended is what counts.
        return False
    return True
