"""A node that is only read: facts and guards run there, everything else is noted and not done."""

from __future__ import annotations

from typing import Any

from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host
from pyinfra.connectors.util import CommandOutput

from dtk.apply.session.connector import RecordingConnector


class ReadOnlyConnector(RecordingConnector):
    """Asks what pyinfra asks, and answers everything that would do something with success, without doing it.

    ``would`` lists what was not done, in order, as a log would show it: uploads as ``upload PATH``.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(host.state, host)
        self.would: list[str] = []

    def run_shell_command(
        self, command: StringCommand, print_output: bool = False, print_input: bool = False, **arguments: Any
    ) -> tuple[bool, CommandOutput]:
        """Run a command that only looks (``print_output``, see ``RecordingConnector``); note any other."""
        if print_output:
            return super().run_shell_command(command, print_output, print_input, **arguments)
        self.would.append(str(command))
        return True, CommandOutput([])

    def put_file(self, filename_or_io: Any, remote_filename: str, *_: Any, **__: Any) -> bool:  # noqa: ARG002
        """Note an upload."""
        self.would.append(f"upload {remote_filename}")
        return True
