"""A read-only session on a node: facts and guards run, everything else is recorded but not run."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host
from pyinfra.connectors.util import CommandOutput

from dtk.apply.session.connector import RecordingConnector


class ReadOnlyConnector(RecordingConnector):
    """Runs pyinfra's read-only commands; for all others it reports success without running them.

    ``would`` lists the commands not run, in order, as a log would show them; uploads as ``upload PATH``.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(host.state, host)
        self.would: list[str] = []

    def run_shell_command(
        self, command: StringCommand, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        """Run a read-only command (``print_output``, see ``RecordingConnector``); record any other."""
        if print_output:
            return super().run_shell_command(command, print_output, print_input, **arguments)
        self.would.append(str(command))
        return True, CommandOutput([])

    def put_file(self, filename_or_io: Any, remote_filename: str, *_: Any, **__: Any) -> bool:  # noqa: ARG002
        """Record an upload without doing it."""
        self.would.append(f"upload {remote_filename}")
        return True
