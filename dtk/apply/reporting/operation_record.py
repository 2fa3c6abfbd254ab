"""What one operation did on a node: its commands, the last exit code, and the ends of their output."""

from __future__ import annotations

from dtk.apply.reporting.failure import FailedCommand
from dtk.ssh.output import KEPT_FOR_ERROR, LONGEST_SHOWN_LINE, Stream, Tail

_KEPT_COMMANDS = 20


class OperationRecord:
    """A record that the connector fills while an operation runs."""

    def __init__(self) -> None:
        self._commands: list[str] = []
        self._left_out = 0
        self.running = ""
        self.exit_code: int | None = None
        self.output_is_held = False
        """Whether a process that a command left running holds its output open, which is no longer read."""
        self.stdout = Tail()
        self.stderr = Tail()
        self._last = Tail(KEPT_FOR_ERROR * LONGEST_SHOWN_LINE)
        self.failed: FailedCommand | None = None

    def begin(self, command: str) -> None:
        """Record a command before it runs."""
        if len(self._commands) < _KEPT_COMMANDS:
            self._commands.append(command)
        else:
            self._left_out += 1
        self.running = command
        self.exit_code = None
        self._last = Tail(KEPT_FOR_ERROR * LONGEST_SHOWN_LINE)

    def line(self, stream: Stream, line: str) -> None:
        """Record one line of output of the running command."""
        (self.stdout if stream == "stdout" else self.stderr).add(line)
        self._last.add(line[:LONGEST_SHOWN_LINE])

    def end(self, command: str, exit_code: int | None, *, failed: bool) -> None:
        """Record how a command ended; an error names the last one that failed."""
        self.running = ""
        self.exit_code = exit_code
        if failed:
            self.failed = FailedCommand(command, exit_code, self.last_output())

    def last_output(self) -> str:
        """Return the last lines of the running command, from both streams in the order of arrival."""
        return "\n".join(self._last.lines[-KEPT_FOR_ERROR:])

    @property
    def command(self) -> str:
        """All commands, one per line."""
        more = [f"[{self._left_out} more commands]"] if self._left_out else []
        return "\n".join([*self._commands, *more])
