"""pyinfra's connector to a node: uses the session's one connection, records everything, never prompts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, cast

from pyinfra.api.command import QuoteString, StringCommand
from pyinfra.api.exceptions import ConnectError
from pyinfra.api.util import get_file_io
from pyinfra.connectors.ssh import SSHConnector
from pyinfra.connectors.util import CommandOutput, OutputLine, make_unix_command_for_host

from dtk.apply.session.apt_lock import patient
from dtk.apply.session.look_ahead import LookAhead, answers_in, asking_all, successes_in
from dtk.apply.session.node_session import ROOT, CommandAnswer, NodeSession, Prepared
from dtk.errors import DtkError
from dtk.ssh.delimited import READ_ALL, READ_SCRIPT, encoded
from dtk.ssh.output import STREAMS
from dtk.ssh.remote_kill import marking_shell

SESSION = "dtk_session"
"""Key of a node's ``NodeSession`` in the ``connector_data`` of its pyinfra host."""
_CONTROL = ("_get_pty", "_timeout", "_stdin", "_success_exit_codes")
_OTHER_USER = ("_sudo", "_su_user", "_doas", "_dzdo")
_OF_SUDO = ("_sudo", "_sudo_user", "_use_sudo_login", "_preserve_sudo_env")
_INSIDE = ("_env", "_chdir")
_PIECE = 1024 * 1024
_POSIX_SHELLS = ("sh", "ash", "bash", "dash", "ksh", "mksh", "zsh")


def silence_pyinfra() -> None:
    """Silence pyinfra's own messages: they repeat output with secrets; the record has the output, redacted."""
    logger = logging.getLogger("pyinfra")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)


class RecordingConnector(SSHConnector):
    """A connector that runs pyinfra's commands and uploads through a node's session.

    ``print_output`` distinguishes facts from commands that change something: the executor sets
    ``state.print_fact_output`` and leaves ``state.print_output`` unset.
    """

    def __init__(self, *arguments: Any) -> None:
        """Create the connector without a connection; the session opens it."""
        super().__init__(*arguments)
        self._temporaries: list[tuple[str, dict[str, Any]]] = []
        self.look_ahead: LookAhead | None = None
        """The prediction of upcoming queries while the items of an action run."""

    @property
    def session(self) -> NodeSession:
        """The node's session."""
        return cast(NodeSession, self.host.connector_data[SESSION])

    def connect(self) -> None:
        """Open the node's connection (server.reboot calls this after the reboot)."""
        try:
            self.session.connect()
        except DtkError as error:
            raise ConnectError(error.message) from error

    def disconnect(self) -> None:
        """Close the node's connection (server.reboot calls this)."""
        self.session.close()

    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,  # noqa: ARG002 - pyinfra's signature
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        """Run one command; ``print_output`` means that it only reads (see the class)."""
        codes = arguments.get("_success_exit_codes") or [0]
        if print_output:
            answer = self._answer(command, arguments)
            code = answer.code
            output = [
                *(OutputLine("stdout", line) for line in answer.stdout),
                *(OutputLine("stderr", line) for line in answer.stderr),
            ]
            if code not in codes:
                self._record_failed_look(str(command), answer)
        else:
            mark = self._next_mark(arguments)
            code = self._perform(self._prepared(command, mark, arguments), mark, codes)
            output = [OutputLine("stdout", line) for line in self.session.record.stdout.lines]
        return code in codes, CommandOutput(output)

    def _next_mark(self, arguments: dict[str, object]) -> str:
        return self.session.next_mark(as_root=any(arguments.get(key) for key in _OTHER_USER))

    def _answer(self, command: StringCommand, arguments: dict[str, object]) -> CommandAnswer:
        """Return the answer to a read-only command: from an earlier exchange, or asked together with later queries."""
        text, ahead = raw_text(command), self.look_ahead
        if ahead is not None:
            known = ahead.answer(text, arguments, self.session.exchanges) or self._asked_together(
                ahead, text, arguments
            )
            if known is not None:
                return known
        mark = self._next_mark(arguments)
        return self.session.ask(self._prepared(command, mark, arguments), mark)

    def _asked_together(self, ahead: LookAhead, text: str, arguments: dict[str, object]) -> CommandAnswer | None:
        """Run a command together with predicted queries; return None if there are none or that did not work."""
        # Only a POSIX shell that reads a script can run several commands together.
        together = ahead.together_with(text, arguments) if self._reads_its_script(arguments) else {}
        if len(together) < 2:
            return None
        script, divider = asking_all(together.values())
        mark = self._next_mark(arguments)
        prepared = replace(self._prepared(StringCommand(script), mark, arguments), shown=f"{len(together)} questions")
        answer = self.session.ask(prepared, mark)
        ahead.keep(answers_in(answer, divider, together), arguments, self.session.exchanges)
        return ahead.answer(text, arguments, self.session.exchanges)

    def _perform(self, prepared: Prepared, mark: str, codes: Collection[int]) -> int:
        """Run a command that changes something, together with the queries of the next operation; return its code."""
        ahead = self.look_ahead
        upcoming = ahead.upcoming() if ahead else None
        if ahead is None or upcoming is None:
            return self.session.perform(prepared, mark, lambda code: code in codes)
        script, divider = asking_all(upcoming.scripts.values())
        question = self._prepared(StringCommand(script), mark, dict(upcoming.options))
        code, answer = self.session.perform_and_ask(prepared, question, mark, lambda code: code in codes)
        if answer is not None:
            ahead.keep(successes_in(answer, divider, upcoming.scripts), upcoming.options, self.session.exchanges)
        return code

    def _record_failed_look(self, command: str, answer: CommandAnswer) -> None:
        record = self.session.record
        record.begin(command)
        for stream in STREAMS:
            for line in self.session.redactor.text("\n".join(getattr(answer, stream))).splitlines():
                record.line(stream, line)
        record.end(command, answer.code, failed=True)

    def _prepared(
        self, command: StringCommand, mark: str, arguments: dict[str, Any], data: Iterable[bytes] | None = None
    ) -> Prepared:
        """Return a command whose shell reads it from standard input: any user can read a command line.

        ``data`` follows it there, as the input of the command itself.
        """
        given = {key: value for key, value in arguments.items() if key not in _CONTROL}
        if given.get("_sudo") and self.session.login_is_root:
            given = _without_sudo(given)
        shell = given.get("_shell_executable") or "sh"
        # An unquoted part of pyinfra's command line, inside sudo and su, because they drop the environment.
        given["_shell_executable"] = marking_shell(mark, str(shell))
        inside = {key: given.pop(key) for key in _INSIDE if key in given}
        script = _unix_command(self, patient(command), {**inside, "_shell_executable": None})
        if not self._reads_its_script(arguments):
            return self._on_command_line(command, {**given, **inside}, data)
        reading = READ_ALL if data is None else READ_SCRIPT
        stdin = (script.encode(),) if data is None else chain((encoded(script),), data)
        return Prepared(str(command), _outer(_unix_command(self, StringCommand(reading), given)), stdin)

    def _reads_its_script(self, arguments: dict[str, object]) -> bool:
        shell = arguments.get("_shell_executable") or "sh"
        # su reads its password from standard input.
        return str(shell).rpartition("/")[2] in _POSIX_SHELLS and not arguments.get("_su_password")

    def _on_command_line(
        self, command: StringCommand, arguments: dict[str, Any], data: Iterable[bytes] | None
    ) -> Prepared:
        whole = _unix_command(self, command, arguments)
        if self._is_secret(whole):
            raise NotImplementedError("a command with a secret needs a POSIX shell, and cannot use _su_password")
        return Prepared(str(command), _outer(whole), b"" if data is None else data)

    def _is_secret(self, text: str) -> bool:
        is_secret: Callable[[str], bool] = self.host.connector_data["dtk_is_secret"]
        return is_secret(text)

    def put_file(
        self,
        filename_or_io: Any,
        remote_filename: str,
        remote_temp_filename: str | None = None,  # noqa: ARG002 - pyinfra's signature
        print_output: bool = False,  # noqa: ARG002
        print_input: bool = False,  # noqa: ARG002
        **arguments: Any,
    ) -> bool:
        """Upload a file and record the upload, or the reason for its failure.

        The data goes over a channel like that of any command, as the operation's user. No SFTP is needed, and nothing
        is stored in /tmp on the way, where pyinfra would put it readable for everyone under a predictable name.
        """
        temporary = _is_temporary(remote_filename)
        if temporary:
            self._temporaries.append((remote_filename, arguments))
        # It may contain a secret: only the user may ever read it, and it must not overwrite a file or follow a link.
        path = QuoteString(remote_filename)
        words = ("rm", "-f", path, "&& umask 077 && set -C && cat >", path) if temporary else ("cat >", path)
        mark = self._next_mark(arguments)
        with get_file_io(filename_or_io) as file:
            prepared = self._prepared(StringCommand(*words), mark, arguments, iter(lambda: file.read(_PIECE), b""))
            return self._perform(replace(prepared, shown=f"upload {remote_filename}"), mark, [0]) == 0

    def remove_temporaries(self) -> None:
        """Remove the files that operations uploaded only to run them: pyinfra would leave them on the node."""
        while self._temporaries:
            path, arguments = self._temporaries.pop()
            self.run_shell_command(StringCommand("rm", "-f", path), print_output=True, **arguments)

    def get_file(self, *_: Any, **__: Any) -> bool:
        """Refuse: operations of a module run on nodes and write no file on this machine."""
        raise NotImplementedError("files.get is not supported: use an output")

    def check_can_rsync(self) -> None:
        """Refuse: rsync would open its own connection and bypass the pinned host keys."""
        raise NotImplementedError("files.rsync is not supported, use files.sync")


def _without_sudo(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a command's arguments for a login that is already root: sudo may be missing there, but su exists."""
    given = {key: value for key, value in arguments.items() if key not in _OF_SUDO}
    user = arguments.get("_sudo_user") or ROOT
    return given if user == ROOT else {**given, "_su_user": user, "_su_shell": "sh"}


def _is_temporary(path: str) -> bool:
    """Return whether a path comes from pyinfra's ``host.get_temp_filename``."""
    return path.rpartition("/")[2].startswith("pyinfra-")


def raw_text(command: str | StringCommand) -> str:
    """Return a command as the shell receives it."""
    return command if isinstance(command, str) else str(command.get_raw_value())


def _outer(command: str) -> str:
    """Return pyinfra's command line with assignments for a shell: with ``env``, a process list would show them."""
    return command.removeprefix("env ")


def _unix_command(connector: RecordingConnector, command: StringCommand, arguments: dict[str, Any]) -> str:
    return str(make_unix_command_for_host(connector.state, connector.host, command, **arguments).get_raw_value())
