"""pyinfra's way to a node: over the session's one connection, recording all it does, asking nobody for anything."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, cast

from paramiko import SFTPClient
from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.util import get_file_io
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command_for_host

from dtk.apply.session.node_session import NodeSession, Prepared
from dtk.errors import DtkError
from dtk.ssh.remote_kill import MARK, marking_shell

SESSION = "dtk_session"
"""Where a pyinfra host keeps its ``NodeSession`` (in ``connector_data``)."""
_CONTROL = ("_get_pty", "_timeout", "_stdin", "_success_exit_codes")
_OTHER_USER = ("_sudo", "_su_user", "_doas", "_dzdo")
_INSIDE = ("_env", "_chdir")
_PIECE = 1024 * 1024
_FROM_STDIN = StringCommand('eval "$(cat)"')


def silence_pyinfra() -> None:
    """Keep pyinfra's own messages quiet: they repeat output, with secrets in it; the record has it, redacted."""
    logger = logging.getLogger("pyinfra")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)


class RecordingConnector(SSHConnector):
    """Runs pyinfra's commands and uploads through a node's session.

    pyinfra tells commands that do something from facts by ``print_output``: the executor sets
    ``state.print_fact_output`` and leaves ``state.print_output`` unset.
    """

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """Name a host by its node: ``@dtk/slaves:1`` is the host ``slaves:1``."""
        yield name, {}, []

    def __init__(self, *arguments: Any) -> None:
        """Begin without a connection; the session opens it."""
        super().__init__(*arguments)
        self._temporaries: list[tuple[str, dict[str, Any]]] = []

    @property
    def session(self) -> NodeSession:
        """The node's session."""
        return cast(NodeSession, self.host.connector_data[SESSION])

    def connect(self) -> None:
        """Open the node's connection (server.reboot does so after its reboot)."""
        try:
            self.session.connect()
        except DtkError as error:
            raise ConnectError(error.message) from error

    def disconnect(self) -> None:
        """Close the node's connection (server.reboot does so)."""
        self.session.close()

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,  # noqa: ARG002 - pyinfra's signature
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        """Run one command; ``print_output`` says that it only looks (see the class)."""
        codes = arguments.get("_success_exit_codes") or [0]
        mark = self.session.next_mark(as_root=any(arguments.get(key) for key in _OTHER_USER))
        prepared = self._prepared(command, mark, arguments)
        if print_output:
            code, lines = self.session.ask(prepared, mark)
            output = [OutputLine(stream, line) for stream, line in lines]
            if code not in codes:
                self._record_failed_look(prepared, code, lines)
        else:
            code = self.session.perform(prepared, mark, lambda code: code in codes)
            output = [OutputLine("stdout", line) for line in self.session.record.stdout.lines]
        return code in codes, CommandOutput(output)

    def _record_failed_look(self, command: Prepared, code: int, lines: list[tuple[Any, str]]) -> None:
        record = self.session.record
        record.begin(command.shown)
        for stream, line in lines:
            record.line(stream, line)
        record.end(command.shown, code, failed=True)

    def _prepared(self, command: StringCommand, mark: str, arguments: dict[str, Any]) -> Prepared:
        given = {key: value for key, value in arguments.items() if key not in _CONTROL}
        shell = given.get("_shell_executable", "sh")
        if isinstance(shell, str):
            # An unquoted piece of pyinfra's command line, inside of sudo and su, which drop the environment.
            given["_shell_executable"] = marking_shell(mark, shell)
        shown = str(command)
        whole = _unix_command(self, command, given)
        if not self._is_secret(whole):
            return Prepared(shown, f"env {MARK}={mark} {whole}" if not isinstance(shell, str) else whole)
        # A command line can be read by everybody on the node; what a shell reads on its standard input can not.
        inside = {key: given.pop(key) for key in _INSIDE if key in given}
        script = _unix_command(self, command, {**inside, "_shell_executable": None})
        return Prepared(shown, _unix_command(self, _FROM_STDIN, given), script.encode())

    def _is_secret(self, text: str) -> bool:
        is_secret: Callable[[str], bool] = self.host.connector_data["dtk_is_secret"]
        return is_secret(text)

    def get_file_transfer_connection(self) -> SFTPClient:
        """Return the connection's channel for files (pyinfra keeps one for ever, which a reconnect would break)."""
        return self.session.ssh.sftp()

    def put_file(
        self,
        filename_or_io: Any,
        remote_filename: str,
        remote_temp_filename: str | None = None,  # noqa: ARG002 - pyinfra's signature
        print_output: bool = False,  # noqa: ARG002
        print_input: bool = False,  # noqa: ARG002
        **arguments: Any,
    ) -> bool:
        """Upload a file, recorded as what it is, with the reason when it can't be put there."""
        if _is_temporary(remote_filename):
            self._temporaries.append((remote_filename, arguments))
        try:
            if any(arguments.get(key) for key in _OTHER_USER):
                return self._hand_over(filename_or_io, remote_filename, arguments)
            return self._upload(filename_or_io, remote_filename, arguments)
        except OSError as error:
            record = self.session.record
            record.line("stderr", f"{remote_filename}: {error.strerror or error}")
            record.end(_upload_of(remote_filename), None, failed=True)
            return False

    def _upload(self, filename_or_io: Any, path: str, arguments: dict[str, Any]) -> bool:
        record = self.session.record
        record.begin(_upload_of(path))
        if _is_temporary(path):
            # Perhaps with a secret in it: from its first byte on for the login's user alone.
            sftp = self.get_file_transfer_connection()
            sftp.open(path, "wx").close()
            sftp.chmod(path, 0o600)
        done = bool(super().put_file(filename_or_io, path, **arguments))
        if done:
            record.end(_upload_of(path), 0, failed=False)
        return done

    def _hand_over(self, filename_or_io: Any, path: str, arguments: dict[str, Any]) -> bool:
        """Upload as another user than the login's, who reads it from the connection.

        pyinfra would put it into /tmp on its way, for all to read, under a name that can be guessed.
        """
        umask = "umask 077; " if _is_temporary(path) else ""
        mark = self.session.next_mark(as_root=True)
        prepared = self._prepared(StringCommand(f"{umask}cat >", QuoteString(path)), mark, arguments)
        if prepared.stdin:
            raise NotImplementedError("the path of a file has a secret in it")
        with get_file_io(filename_or_io) as file:
            pieces = iter(lambda: file.read(_PIECE), b"")
            sent = Prepared(_upload_of(path), prepared.sent, pieces)
            return self.session.perform(sent, mark, lambda code: code == 0) == 0

    def remove_temporaries(self) -> None:
        """Remove what operations have put on the node only to run it: pyinfra would leave it there."""
        while self._temporaries:
            path, arguments = self._temporaries.pop()
            self.run_shell_command(StringCommand("rm", "-f", path), print_output=True, **arguments)

    def get_file(self, *_: Any, **__: Any) -> bool:
        """Refuse: what a module says is done on nodes, and writes no file here."""
        raise NotImplementedError("files.get is not supported, take what is needed as an output")

    def check_can_rsync(self) -> None:
        """Refuse: rsync would open a connection of its own, past the pinned host keys."""
        raise NotImplementedError("files.rsync is not supported, use files.sync")


def _is_temporary(path: str) -> bool:
    """Say whether a path is one of pyinfra's ``host.get_temp_filename``."""
    return path.rpartition("/")[2].startswith("pyinfra-")


def _upload_of(path: str) -> str:
    return f"upload {path}"


def _unix_command(connector: RecordingConnector, command: StringCommand, arguments: dict[str, Any]) -> str:
    return str(make_unix_command_for_host(connector.state, connector.host, command, **arguments).get_raw_value())
