"""A node as the executor uses it: its one connection, the step that uses it now, the marks of its commands."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    NoSessionError,
    NoShellError,
)
from dtk.ssh.connect import Patience
from dtk.ssh.connections import Connections, NodeConnection
from dtk.ssh.delimited import READ_ALL
from dtk.ssh.exchange import GiveBytes, Input
from dtk.ssh.follow_up import FollowUp
from dtk.ssh.host_keys import KnownHosts
from dtk.ssh.leftover_search import LeftoverSearch
from dtk.ssh.output import STREAMS, LineSplitter, Stream, lines_of
from dtk.ssh.remote_kill import Older, kill_script, marking_shell

KILL_SECONDS = 20.0
"""Time limit in seconds for ending a step's remote processes."""
_FIRST_CONTACT_SECONDS = KILL_SECONDS + 2 * LOGIN_SECONDS
"""The same at first contact, where no user waits for a cancel: the login may be slow, and problems are reported."""
ROOT = "root"
LARGEST_ANSWER = 64 * 1024 * 1024
"""Maximum output in bytes of a fact's or an output's command; more would fill this machine's memory."""


@dataclass(frozen=True)
class Prepared:
    """A command ready for a node: its text in the log, its form for a POSIX shell there, and its input."""

    shown: str
    sent: str
    stdin: Input = b""

    @classmethod
    def script(cls, shown: str, script: bytes, mark: str = "") -> Prepared:
        """Return one of dtk's own scripts; its processes carry a mark."""
        shell = marking_shell(mark, "sh") if mark else "sh"
        return cls(shown, f"{shell} -c {shlex.quote(READ_ALL)}", script)

    @property
    def can_be_sent_again(self) -> bool:
        """Whether its input is there again if the command has to be sent a second time."""
        return isinstance(self.stdin, bytes | tuple)

    @property
    def whole_input(self) -> bytes:
        """Its input in one piece."""
        return self.stdin if isinstance(self.stdin, bytes) else b"".join(self.stdin)


@dataclass(frozen=True)
class Leftovers:
    """What earlier tasks may still run on a node: their unfinished commands, and what ends them or raises an error."""

    older: Older
    end: Callable[[], None]


@dataclass(frozen=True)
class CommandAnswer:
    """The output of a read-only command as lines, none of them shortened."""

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
        connections: Connections,
    ) -> None:
        self.node = node
        self.redactor = redactor
        self._connection_of_node = connection
        self._known = known
        self._patience = patience
        self._connections = connections
        self._open: NodeConnection | None = None
        self._reporter: StepReporter | None = None
        self._step_mark = ""
        self._commands = 0
        self.exchanges = 0
        """Number of commands sent to the node; anything read before the last one may be outdated."""
        self._uses_root = False
        self._running = ""
        self._connection_was_lost = False
        self._first_contact: Callable[[], None] | None = None
        self._is_met = False
        self._leftovers: Leftovers | None = None
        self.record = OperationRecord()

    def begin_step(
        self, reporter: StepReporter | None, mark: str, first_contact: Callable[[], None] | None = None
    ) -> None:
        """Assign the session to a step.

        Args:
            reporter: receives reasons for waiting, and the output.
            mark: the prefix of the marks of the step's processes, ``LINEAGE-TASK-STEP-``.
            first_contact: runs once on the node, before anything else; it raises an error if it fails.
        """
        self._reporter, self._step_mark, self._first_contact = reporter, mark, first_contact
        self._commands, self._uses_root, self._connection_was_lost = 0, False, False

    @property
    def login_is_root(self) -> bool:
        """Whether the login user is root, so that commands need no sudo."""
        return self._connection_of_node().user == ROOT

    @property
    def is_in_doubt(self) -> bool:
        """Whether the effect of the step's last command is unknown: its connection was lost, or it may still run."""
        return self._connection_was_lost or (bool(self._step_mark) and self._running.startswith(self._step_mark))

    @property
    def has_orphaned_command(self) -> bool:
        """Whether a command may still run for which nothing waits."""
        return bool(self._running)

    def connect(self, *, is_new: bool = False) -> None:
        """Open the node's connection unless it is open, and end commands that were left running.

        Raises:
            UnreachableError, HostKeyError: as ``dtk.ssh.connect.reach``.
            DtkError: an earlier command may still run.
        """
        # In this order: a command that an earlier step left running must end before anything else begins.
        self._connect(is_new=is_new)
        self._end_orphaned_command()
        if self._first_contact is not None and not self._is_met:
            self._first_contact()
            self._is_met = True

    def look_for_leftovers(self, leftovers: Leftovers) -> None:
        """Have the next command preceded by a search for them in the same exchange; if there are any, they are ended.

        The command runs once nothing is left, and fails while something is.
        """
        self._leftovers = leftovers

    def _end_orphaned_command(self) -> None:
        """End the command that was running when the connection was lost."""
        problem = self._end([self._running], as_root=True) if self._running else ""
        if problem:
            raise DtkError(problem, hint="see what runs there: dtk ssh")

    def _connect(self, *, is_new: bool = False) -> None:
        if self._open is None or not self._open.is_alive:
            self.close()
            self._open = self._connections.open(
                self.node, self._connection_of_node(), self._known, self._patience, self._waiting, is_new=is_new
            )

    def _waiting(self, reason: str) -> None:
        if self._reporter is not None:
            self._reporter.waiting(reason)

    def close(self) -> None:
        """Close the connection; the next use opens a new one."""
        if self._open is not None:
            self._open.close()
            self._open = None

    @property
    def ssh(self) -> NodeConnection:
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
        """Run a command that changes something; record it and report its output as it arrives.

        Returns:
            Its exit code.
        """
        return self.perform_and_ask(command, None, mark, is_success)[0]

    def perform_and_ask(
        self, command: Prepared, question: Prepared | None, mark: str, is_success: Callable[[int], bool]
    ) -> tuple[int, list[str] | None]:
        """Perform a command and, if its exit code is 0, run a read-only command right after it, in the same exchange.

        Returns:
            The exit code of the first command, and the standard output of the second one as lines, None if it did not
            come to its end.
        """
        self.record.begin(command.shown)
        lines = {
            stream: LineSplitter(partial(self._give, stream), RedactedStream(self.redactor), self._redrawn)
            for stream in STREAMS
        }

        def give(stream: Stream, chunk: bytes) -> None:
            lines[stream].feed(chunk)

        following = FollowUp(question.sent, question.whole_input, give, LARGEST_ANSWER) if question else None
        try:
            ended = self._run_both(command, following, mark) if following else self._run(command, mark, give)
        finally:
            printed = following.end() if following else None
            for splitter in lines.values():
                splitter.end()
        self.record.end(command.shown, ended.code, failed=not is_success(ended.code))
        self.record.output_is_held |= ended.output_is_held
        return ended.code, lines_of(printed) if printed is not None else None

    def _run_both(self, command: Prepared, following: FollowUp, mark: str) -> Ended:
        both = replace(command, sent=following.after(command.sent), stdin=following.input(command.stdin))
        try:
            return self._run(both, mark, following.feed)
        except ConnectionLostError:
            if following.code is None:
                raise
            # Only the question was lost.
            self._running, self._connection_was_lost = "", False
            return Ended(following.code)

    def _redrawn(self, line: str) -> None:
        """Report the progress of a command that redraws one line."""
        if self._reporter is not None:
            self._reporter.waiting(line)

    def _give(self, stream: Stream, line: str) -> None:
        self.record.line(stream, line)
        if self._reporter is not None:
            self._reporter.output(stream, line)

    def ask(self, command: Prepared, mark: str) -> CommandAnswer:
        """Run a read-only command and return its whole output, which is reported only if the command fails.

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
        if self._leftovers is not None:
            return self._run_after(self._leftovers, command, mark, give)
        return self._exchange(command, mark, give)

    def _run_after(self, leftovers: Leftovers, command: Prepared, mark: str, give: GiveBytes) -> Ended:
        if command.can_be_sent_again:
            ended = self._run_unless_found(leftovers, command, mark, give)
            if ended is not None:
                self._leftovers = None
                return ended
        leftovers.end()
        self._leftovers = None
        return self._exchange(command, mark, give)

    def _run_unless_found(self, leftovers: Leftovers, command: Prepared, mark: str, give: GiveBytes) -> Ended | None:
        """Run a command behind a search; return None if something was found, so that the command did not run."""
        searching = f"the search for unfinished commands of earlier tasks on {self.node}"
        late = DtkError(f"{searching} did not end within {_FIRST_CONTACT_SECONDS:.0f} s")
        with gevent.Timeout(_FIRST_CONTACT_SECONDS, late) as limit:
            search = LeftoverSearch(leftovers.older, give, limit.close, as_root=not self.login_is_root)
            sent = replace(command, sent=search.before(command.sent, mark))
            ended = self._exchange(sent, mark, search.feed)
        if search.found is None:
            raise DtkError(f"{searching} failed", hint="see what happens there: dtk ssh")
        return None if search.found else ended

    def _exchange(self, command: Prepared, mark: str, give: GiveBytes) -> Ended:
        connection = self.ssh
        self.exchanges += 1
        self._running = mark
        try:
            ended = connection.run(command.sent, give, command.stdin)
        except ConnectionLostError:
            self._connection_was_lost = True
            raise
        except (NoSessionError, NoShellError):
            # The command never began.
            self._running = ""
            raise
        self._running, self._connection_was_lost = "", False
        return ended

    def end_step_processes(self) -> str:
        """End all processes of the step on the node; return the problem, or "" on success."""
        return self._end([self._step_mark], as_root=self._uses_root) if self._commands else ""

    def end_running_command(self) -> str:
        """End the processes of the last running command; return the same as ``end_step_processes``."""
        return self._end([self._running], as_root=self._uses_root) if self._running else ""

    def end_earlier(self, marks: Sequence[str], older: Older) -> str:
        """End what earlier tasks still run: all processes with one of these marks, and every unfinished command.

        Returns:
            The same as ``end_step_processes``.
        """
        return self._end(marks, as_root=True, older=older)

    def _end(self, marks: Sequence[str], *, as_root: bool, older: Older | None = None) -> str:
        seconds = KILL_SECONDS if older is None else _FIRST_CONTACT_SECONDS
        problem = f"no response within {seconds:.0f} s"
        try:
            with gevent.Timeout(seconds, False):
                problem = self._try_to_end(
                    lambda: kill_script(marks, as_root=as_root and not self.login_is_root, older=older)
                )
        except (NoShellError, NoSessionError) as error:
            if older is not None:
                # At first contact no command of this task has run yet, and none could run.
                raise
            problem = error.message
        if problem:
            return f"processes may still run on {self.node}: {problem}"
        if any(self._running.startswith(mark) for mark in marks):
            self._running = ""
        return ""

    def _try_to_end(self, script: Callable[[], str]) -> str:
        chunks: list[bytes] = []

        def run() -> int:
            self._connect()
            self.exchanges += 1
            command = Prepared.script("", script().encode())
            return self.ssh.run(command.sent, lambda _, chunk: chunks.append(chunk), command.stdin).code

        try:
            try:
                code = run()
            except NoSessionError:
                # The command to be ended occupies the only session of this connection.
                self.close()
                code = run()
        except (NoShellError, NoSessionError):
            raise
        except DtkError as error:
            return error.message
        return "" if code == 0 else " ".join(lines_of(b"".join(chunks))[-1:]) or "some could not be stopped"
