"""Resolves references to secrets, on their way to a node and not earlier."""

from __future__ import annotations

import os
from pathlib import Path

from dtk.errors import DtkError


def resolve_secret(reference: str, root: Path) -> str:
    """Return the value of a secret.

    Args:
        reference: ``env:NAME`` or ``file:PATH``; a relative path starts at ``root``.
        root: the workspace's folder.

    Raises:
        DtkError: there is no such secret, or this dtk can't ask where it is kept. The message names the reference.
    """
    kind, _, name = reference.partition(":")
    if kind == "env":
        return _from_environment(name)
    if kind == "file":
        return _from_file(root / Path(name).expanduser())
    if kind in ("ssm", "secretsmanager"):
        raise DtkError(f"secrets in {kind} can't be read yet ({reference})", hint="use env:NAME or file:PATH")
    raise DtkError(f"'{reference}' is no reference to a secret", hint="write env:NAME or file:PATH")


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise DtkError(f"the environment has no {name}, which a secret refers to", hint=f"export {name}=…")
    return value


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise DtkError(f"the secret in {path} can't be read: {reason}") from None
