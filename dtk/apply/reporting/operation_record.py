"""What one operation did on a node: its commands, the last one's exit code, the tails of what they printed."""

from __future__ import annotations

from dtk.apply.reporting.failure import FailedCommand
from dtk.ssh.output import KEPT_FOR_ERROR, LONGEST_SHOWN_LINE, Stream, Tail

_KEPT_COMMANDS = 20


class OperationRecord:
    """Filled by the connector while an operation runs."""

    def __init__(self) -> None:
        self._commands: list[str] = []
        self._left_out = 0
        self.running = ""
        self.exit_code: int | None = None
        self.output_is_held = False
        """Whether something that a command left running can still print to its output, which is no longer read."""
        self.stdout = Tail()
        self.stderr = Tail()
        self._last = Tail(KEPT_FOR_ERROR * LONGEST_SHOWN_LINE)
        self.failed: FailedCommand | None = None

    def begin(self, command: str) -> None:
        """Note a command before it runs."""
        if len(self._commands) < _KEPT_COMMANDS:
            self._commands.append(command)
        else:
            self._left_out += 1
        self.running = command
        self.exit_code = None
        self._last = Tail(KEPT_FOR_ERROR * LONGEST_SHOWN_LINE)

    def line(self, stream: Stream, line: str) -> None:
        """Take one line that the running command printed."""
        (self.stdout if stream == "stdout" else self.stderr).add(line)
        self._last.add(line[:LONGEST_SHOWN_LINE])

    def end(self, command: str, exit_code: int | None, *, failed: bool) -> None:
        """Note how a command ended; the last one that failed is the one an error names."""
        self.running = ""
        self.exit_code = exit_code
        if failed:
            self.failed = FailedCommand(command, exit_code, self.last_output())

    def last_output(self) -> str:
        """Return the last lines of the running command, both streams in the order they came."""
        return "\n".join(self._last.lines[-KEPT_FOR_ERROR:])

    @property
    def command(self) -> str:
        """All commands, a line each."""
        more = [f"[{self._left_out} more commands]"] if self._left_out else []
        return "\n".join([*self._commands, *more])
