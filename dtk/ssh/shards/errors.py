"""Errors of a shard's calls as messages, and back."""

from __future__ import annotations

from dtk.errors import DtkError, refused_by_machine
from dtk.ssh.channels import ConnectionLostError, NoSessionError, NoShellError
from dtk.ssh.connect import HostKeyError
from dtk.ssh.private_keys import UnreachableError
from dtk.ssh.shards.messages import ErrorKind, Failed

_TYPES: dict[ErrorKind, type[DtkError]] = {
    "lost": ConnectionLostError,
    "no_session": NoSessionError,
    "no_shell": NoShellError,
    "unreachable": UnreachableError,
    "host_key": HostKeyError,
}
_KINDS = {type_: kind for kind, type_ in _TYPES.items()}


class ShardError(Exception):
    """An error in a shard that dtk did not expect."""


def failed_of(call: int, error: Exception, details: str) -> Failed:
    """Return the message for a failed call; ``details`` is the error's traceback."""
    error = refused_by_machine(error) or error
    if isinstance(error, DtkError):
        return Failed(call, _KINDS.get(type(error), "other"), error.message, error.hint)
    return Failed(call, "bug", f"{type(error).__name__}: {error}", details=details)


def error_of(failed: Failed) -> Exception:
    """Return the error of a failed call."""
    if failed.kind == "bug":
        error = ShardError(failed.message)
        error.add_note(failed.details)
        return error
    return _TYPES.get(failed.kind, DtkError)(failed.message, hint=failed.hint)
