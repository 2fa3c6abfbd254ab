"""A shard as the task's process sees it: its process, its calls, and its loss."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

import gevent
from gevent.event import AsyncResult, Event

from dtk.errors import DtkError
from dtk.model.executor import Executor
from dtk.ssh.channels import ConnectionLostError
from dtk.ssh.connect import Waiting
from dtk.ssh.exchange import GiveBytes
from dtk.ssh.passphrases import known_passphrases
from dtk.ssh.shards.errors import error_of
from dtk.ssh.shards.messages import (
    Begin,
    CommandEnded,
    CommandOutput,
    End,
    Failed,
    Lost,
    Message,
    Opened,
    Pinned,
    PinRequest,
    Wants,
)
from dtk.ssh.shards.messages import Waiting as WaitingMessage
from dtk.ssh.shards.shard_process import BRIDGE, LOST_ON_DASK, PROCESS
from dtk.ssh.shards.wire import Wire

_EXIT_SECONDS = 5.0

PinKey = Callable[[str, str], str]
"""Pins the key (``ssh-ed25519 AAAA…``) of an entry of known_hosts; returns why it is refused, "" if it is not."""


def _ignore(*_: object) -> None:
    """Receive what a call of this kind never gets."""


def _refuse(entry: str, _key: str) -> str:
    return f"{entry} is not being connected to"


def _program(descriptor: int, owner: str, executor: Executor, place: int) -> list[str]:
    """Return the process that serves a socket: the shard itself, or the bridge to the Dask worker that runs it."""
    if executor.dask is None:
        return [PROCESS, str(descriptor), owner]
    return [BRIDGE, str(descriptor), owner, executor.to_word(), str(place)]


@dataclass(frozen=True)
class ShardCall:
    """A call that has not ended: who receives what comes before its answer, and the answer itself."""

    number: int
    node: str
    give: GiveBytes
    waiting: Waiting
    pin: PinKey
    wants: Event = field(default_factory=Event)
    answer: AsyncResult = field(default_factory=AsyncResult)


class ShardLink:
    """A running shard."""

    def __init__(self, owner: str, executor: Executor, place: int) -> None:
        """Start the process; ``owner`` is shown in process lists, ``place`` is its number among the task's shards.

        Raises:
            OSError: it can't be started.
        """
        ours, its = socket.socketpair()
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", *_program(its.fileno(), owner, executor, place)],
                stdin=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
            )
        self._wire = Wire(ours)
        self._numbers = count(1)
        self._calls: dict[int, ShardCall] = {}
        self._lost: set[int] = set()
        self.is_over = False
        """Whether the process has ended, so that none of its connections exists any more."""
        self._why = ""
        self._reader = gevent.spawn(self._read)
        self._wire.send(Begin(known_passphrases()))

    @contextmanager
    def call(
        self, node: str, give: GiveBytes = _ignore, waiting: Waiting = _ignore, pin: PinKey = _refuse
    ) -> Iterator[ShardCall]:
        """Provide a new call about a node; at the end of the block it is stopped unless it has been answered."""
        made = ShardCall(next(self._numbers), node, give, waiting, pin)
        if self.is_over:
            raise self.lost(node)
        self._calls[made.number] = made
        try:
            yield made
        finally:
            del self._calls[made.number]
            if not made.answer.ready():
                self.end_call(made.number)

    def send(self, message: Message, payload: bytes = b"") -> None:
        """Send a message; without an effect if the shard is gone."""
        self._wire.send(message, payload)

    def end_call(self, number: int) -> None:
        """Stop a call, or close the connection that it opened."""
        self._lost.discard(number)
        self.send(End(number))

    def has(self, connection: int) -> bool:
        """Return whether a connection that was opened still works."""
        return not self.is_over and connection not in self._lost

    def lost(self, node: str) -> ConnectionLostError:
        """Return the error for a node whose connection was lost together with the shard."""
        return ConnectionLostError(
            f"the connection to {node} was lost: the process of dtk that held it {self._why or 'has ended'}",
            hint="see why in the task's worker.log; then: dtk apply --resume",
        )

    def _read(self) -> None:
        for message, payload in self._wire.received():
            self._take(message, payload)
        self.is_over = True
        self._wire.close()
        self._why = self._reap()
        for call in list(self._calls.values()):
            call.answer.set_exception(self.lost(call.node))

    def _take(self, message: Message, payload: bytes) -> None:
        match message:
            case Lost():
                self._lost.add(message.call)
            case PinRequest():
                # Not here: pinning may wait for the disk.
                gevent.spawn(self._pin, message)
            case CommandOutput() | Wants() | WaitingMessage() | Opened() | CommandEnded() | Failed() if (
                message.call in self._calls
            ):
                self._tell(self._calls[message.call], message, payload)

    def _tell(self, call: ShardCall, message: Message, payload: bytes) -> None:
        match message:
            case CommandOutput():
                self._give(call, message, payload)
            case Wants():
                call.wants.set()
            case WaitingMessage():
                call.waiting(message.reason)
            case Failed():
                call.answer.set_exception(error_of(message))
            case _:
                call.answer.set(message)

    def _give(self, call: ShardCall, message: CommandOutput, payload: bytes) -> None:
        if call.answer.ready():
            return
        try:
            call.give(message.stream, payload)
        except Exception as error:  # raised again where the command is awaited
            self.end_call(call.number)
            call.answer.set_exception(error)

    def _pin(self, message: PinRequest) -> None:
        call = self._calls.get(message.call)
        try:
            refused = call.pin(message.entry, message.key) if call else "the connection is no longer wanted"
        except (OSError, DtkError) as error:
            refused = f"the host key of {message.entry} can't be stored: {error}"
        self.send(Pinned(message.pin, refused))

    def _reap(self) -> str:
        """Wait for the end of the process; return how it ended."""
        try:
            code = self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            # It closed its socket and does not end: nothing can be asked of it.
            self._process.kill()
            code = self._process.wait()
        if code == LOST_ON_DASK:
            return "ran on a Dask worker that was lost"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def end(self) -> None:
        """End the process, and wait until it has ended."""
        self._wire.close()
        self._reader.join()
