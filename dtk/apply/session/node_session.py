"""A node as the executor works on it: its one connection, the step that has it now, the marks of its commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import gevent

from dtk.apply.reporting.operation_record import OperationRecord
from dtk.apply.reporting.redaction import RedactedStream, Redactor
from dtk.apply.reporting.reporter import StepReporter
from dtk.errors import DtkError
from dtk.nodes.provider import Connection
from dtk.ssh.channels import (
    LOGIN_SECONDS,
    ConnectionLostError,
    Ended,
    GiveBytes,
    Input,
    NoSessionError,
    NoShellError,
    SshConnection,
)
from dtk.ssh.connect import Patience, reach
from dtk.ssh.delimited import READ_ALL
from dtk.ssh.host_keys import KnownHosts
from dtk.ssh.output import STREAMS, LineSplitter, Stream, lines_of
from dtk.ssh.remote_kill import Older, kill_script, marking_shell

KILL_SECONDS = 20.0
"""How long ending a step's remote processes may take before the node is left alone."""
_FIRST_CONTACT_SECONDS = KILL_SECONDS + 2 * LOGIN_SECONDS
"""The same at first contact, where nobody has cancelled: the login may be slow, and what is wrong with it is said."""
ROOT = "root"
LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of a fact's or an output's command that are taken; more is a mistake that would fill this machine's memory."""


@dataclass(frozen=True)
class Prepared:
    """A command ready for a node: as its log shows it, as a POSIX shell there runs it, with the bytes it reads."""

    shown: str
    sent: str
    stdin: Input = b""

    @classmethod
    def script(cls, shown: str, script: bytes, mark: str = "") -> Prepared:
        """Return a script of dtk's own, whose processes carry a mark."""
        shell = marking_shell(mark, "sh") if mark else "sh"
        return cls(shown, f"{shell} -c {shlex.quote(READ_ALL)}", script)


@dataclass(frozen=True)
class CommandAnswer:
    """What a command that only looked printed: lines, none of them cut."""

    code: int
    stdout: tuple[str, ...]
    stderr: tuple[str, ...]


class NodeSession:
    """One node's session for the whole task. One step at a time uses it."""

    def __init__(
        self,
        node: str,
        connection: Callable[[], Connection],
        known: KnownHosts,
        patience: Patience,
        redactor: Redactor,
    ) -> None:
        self.node = node
        self.redactor = redactor
        self._connection_of_node = connection
        self._known = known
        self._patience = patience
        self._open: SshConnection | None = None
        self._reporter: StepReporter | None = None
        self._step_mark = ""
        self._commands = 0
        self.exchanges = 0
        """How many commands were given to the node: what was seen before the last of them may no longer be so."""
        self._uses_root = False
        self._running = ""
        self._connection_was_lost = False
        self._first_contact: Callable[[], None] | None = None
        self._is_met = False
        self.record = OperationRecord()

    def begin_step(
        self, reporter: StepReporter | None, mark: str, first_contact: Callable[[], None] | None = None
    ) -> None:
        """Give the session to a step.

        Args:
            reporter: told what is waited for, and the output.
            mark: what the step's commands' processes carry, ``LINEAGE-TASK-STEP-``.
            first_contact: what is done on the node, once, before anything else; it raises when it can't be done.
        """
        self._reporter, self._step_mark, self._first_contact = reporter, mark, first_contact
        self._commands, self._uses_root, self._connection_was_lost = 0, False, False

    @property
    def login_is_root(self) -> bool:
        """Whether the login has root's rights already, so that nothing has to give them to a command."""
        return self._connection_of_node().user == ROOT

    @property
    def is_in_doubt(self) -> bool:
        """Whether nobody knows what the step's last command did: its connection was lost, or it may still run."""
        return self._connection_was_lost or (bool(self._step_mark) and self._running.startswith(self._step_mark))

    @property
    def has_orphaned_command(self) -> bool:
        """Whether a command may still run that nobody waits for."""
        return bool(self._running)

    def connect(self, *, is_new: bool = False) -> None:
        """Open the node's connection unless it is open; what was begun before does not go on beside what follows.

        Raises:
            UnreachableError, HostKeyError: as ``dtk.ssh.connect.reach``.
            DtkError: a command that was begun before may still run.
        """
        # In this order: what an earlier step left running ends before anything else begins here.
        self._connect(is_new=is_new)
        self._end_orphaned_command()
        if self._first_contact is not None and not self._is_met:
            self._first_contact()
            self._is_met = True

    def _end_orphaned_command(self) -> None:
        """End the command that was running when a connection was lost."""
        problem = self._end([self._running], as_root=True) if self._running else ""
        if problem:
            raise DtkError(problem, hint="see what runs there: dtk ssh")

    def _connect(self, *, is_new: bool = False) -> None:
        if self._open is None or not self._open.is_alive:
            self.close()
            clients = reach(self._connection_of_node(), self._known, self._patience, self._waiting, is_new=is_new)
            self._open = SshConnection(self.node, clients)

    def _waiting(self, reason: str) -> None:
        if self._reporter is not None:
            self._reporter.waiting(reason)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def ssh(self) -> SshConnection:
        """The open connection.

        Raises:
            DtkError: there is none, because the node went away while a step was running.
        """
        if self._open is None:
            raise DtkError(f"not connected to {self.node}")
        return self._open

    def next_mark(self, *, as_root: bool) -> str:
        """Return the mark of the next command, which its processes carry in their environment."""
        self._commands += 1
        self._uses_root |= as_root
        return f"{self._step_mark}{self._commands}-"

    def perform(self, command: Prepared, mark: str, is_success: Callable[[int], bool]) -> int:
        """Run a command that does something: recorded, its output shown as it comes.

        Returns:
            Its exit code.
        """
        self.record.begin(command.shown)
        lines = {
            stream: LineSplitter(partial(self._give, stream), RedactedStream(self.redactor), self._redrawn)
            for stream in STREAMS
        }
        try:
            ended = self._run(command, mark, lambda stream, chunk: lines[stream].feed(chunk))
        finally:
            for splitter in lines.values():
                splitter.end()
        self.record.end(command.shown, ended.code, failed=not is_success(ended.code))
        self.record.output_is_held |= ended.output_is_held
        return ended.code

    def _redrawn(self, line: str) -> None:
        """Tell how far a command is that says so on one line, over and over."""
        if self._reporter is not None:
            self._reporter.waiting(line)

    def _give(self, stream: Stream, line: str) -> None:
        self.record.line(stream, line)
        if self._reporter is not None:
            self._reporter.output(stream, line)

    def ask(self, command: Prepared, mark: str) -> CommandAnswer:
        """Run a command that only looks: its whole output is returned, and shown nowhere unless it fails.

        Raises:
            DtkError: it prints more than ``LARGEST_ANSWER``.
        """
        chunks: dict[Stream, list[bytes]] = {stream: [] for stream in STREAMS}
        size = 0

        def give(stream: Stream, chunk: bytes) -> None:
            nonlocal size
            size += len(chunk)
            if size <= LARGEST_ANSWER:
                chunks[stream].append(chunk)

        ended = self._run(command, mark, give)
        if size > LARGEST_ANSWER:
            raise DtkError(f"'{command.shown}' printed more than {LARGEST_ANSWER // 1024**2} MiB on {self.node}")
        return CommandAnswer(ended.code, *(tuple(lines_of(b"".join(chunks[stream]))) for stream in STREAMS))

    def _run(self, command: Prepared, mark: str, give: GiveBytes) -> Ended:
        connection = self.ssh
        if not connection.is_alive:
            raise connection.connection_lost()
        self._end_orphaned_command()
        self.exchanges += 1
        self._running = mark
        try:
            ended = connection.run(command.sent, give, command.stdin)
        except ConnectionLostError:
            self._connection_was_lost = True
            raise
        except (NoSessionError, NoShellError):
            # It never began.
            self._running = ""
            raise
        self._running, self._connection_was_lost = "", False
        return ended

    def end_step_processes(self) -> str:
        """End all that the step's commands still run on the node; return what went wrong, "" when all is well."""
        return self._end([self._step_mark], as_root=self._uses_root) if self._commands else ""

    def end_running_command(self) -> str:
        """End the processes of the command that was running last; return as ``end_step_processes``."""
        return self._end([self._running], as_root=self._uses_root) if self._running else ""

    def end_earlier(self, marks: Sequence[str], older: Older) -> str:
        """End what earlier tasks still run: all with one of these marks, and each command that has not ended.

        Returns:
            As ``end_step_processes``.
        """
        return self._end(marks, as_root=True, older=older)

    def _end(self, marks: Sequence[str], *, as_root: bool, older: Older | None = None) -> str:
        seconds = KILL_SECONDS if older is None else _FIRST_CONTACT_SECONDS
        problem = f"no response within {seconds:.0f} s"
        try:
            with gevent.Timeout(seconds, False):
                problem = self._try_to_end(kill_script(marks, as_root=as_root, older=older))
        except (NoShellError, NoSessionError) as error:
            if older is not None:
                # At first contact: nothing can be done there, and nothing of a task was.
                raise
            problem = error.message
        if problem:
            return f"processes may still run on {self.node}: {problem}"
        if any(self._running.startswith(mark) for mark in marks):
            self._running = ""
        return ""

    def _try_to_end(self, script: str) -> str:
        chunks: list[bytes] = []

        def run() -> int:
            self._connect()
            self.exchanges += 1
            command = Prepared.script("", script.encode())
            return self.ssh.run(command.sent, lambda _, chunk: chunks.append(chunk), command.stdin).code

        try:
            try:
                code = run()
            except NoSessionError:
                # What is to be ended has the only session of this connection.
                self.close()
                code = run()
        except (NoShellError, NoSessionError):
            raise
        except DtkError as error:
            return error.message
        return "" if code == 0 else " ".join(lines_of(b"".join(chunks))[-1:]) or "some could not be stopped"
