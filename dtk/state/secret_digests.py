"""Digests by which a plan sees that a secret has another value, without holding any: keyed with a key of this machine.

The key lies beside the service's local state and goes into no shared store, so that who has the state alone can't try
out values. On another machine, or without the key, nothing is said about secrets.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from dtk.state.files import write_bytes_new
from dtk.state.workspace import Workspace

_KEY_BYTES = 32
_NAME_DIGITS = 8


def secret_key(workspace: Workspace, service: str) -> bytes:
    """Return the key of a service's digests, made anew where there is none.

    Raises:
        OSError: it can be neither read nor written.
    """
    path = _path(workspace, service)
    if len(known_secret_key(workspace, service)) != _KEY_BYTES:
        path.unlink(missing_ok=True)  # a crash left a part of one
        write_bytes_new(path, secrets.token_bytes(_KEY_BYTES))
    return path.read_bytes()


def known_secret_key(workspace: Workspace, service: str) -> bytes:
    """Return the key of a service's digests, b"" where there is none."""
    try:
        return _path(workspace, service).read_bytes()
    except OSError:
        return b""


def secret_digest(key: bytes, reference: str, value: str) -> str:
    """Return the digest of a secret's value, for the reference that it was found by, behind the name of its key."""
    name = hmac.new(key, b"name", "sha256").hexdigest()[:_NAME_DIGITS]
    return f"{name}:{hmac.new(key, f'{reference}{chr(0)}{value}'.encode(), 'sha256').hexdigest()}"


def is_other_value(applied: str, now: str) -> bool:
    """Say whether two digests of a secret are of different values; those by another machine's key tell nothing."""
    (key, _, digest), (key_now, _, digest_now) = applied.rpartition(":"), now.rpartition(":")
    # Digests were written without their key's name, before.
    return key in ("", key_now) and digest != digest_now


def _path(workspace: Workspace, service: str) -> Path:
    return workspace.service_folder(service) / "secrets.key"
