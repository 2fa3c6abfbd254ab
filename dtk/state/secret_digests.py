"""Keyed digests of secret values, by which a plan detects a changed secret without storing it.

The key is local to this machine: it is beside the service's local state and never in a shared store, so that the state
alone does not allow guessing values. On another machine, or without the key, changes of secrets are not detected.
"""

from __future__ import annotations

import hmac
import secrets
from pathlib import Path

from dtk.disk.files import write_bytes_new
from dtk.state.workspace import Workspace

_KEY_BYTES = 32
_NAME_DIGITS = 8


def secret_key(workspace: Workspace, service: str) -> bytes:
    """Return the key of a service's digests; create it if necessary.

    Raises:
        OSError: the key can be neither read nor written.
    """
    path = _path(workspace, service)
    if len(known_secret_key(workspace, service)) != _KEY_BYTES:
        path.unlink(missing_ok=True)  # a crash left part of a key
        write_bytes_new(path, secrets.token_bytes(_KEY_BYTES))
    return path.read_bytes()


def known_secret_key(workspace: Workspace, service: str) -> bytes:
    """Return the key of a service's digests, b"" if there is none."""
    try:
        return _path(workspace, service).read_bytes()
    except OSError:
        return b""


def secret_digest(key: bytes, reference: str, value: str) -> str:
    """Return the keyed digest of a secret's value and its reference, prefixed with the name of the key."""
    name = hmac.new(key, b"name", "sha256").hexdigest()[:_NAME_DIGITS]
    return f"{name}:{hmac.new(key, f'{reference}{chr(0)}{value}'.encode(), 'sha256').hexdigest()}"


def is_other_value(applied: str, now: str) -> bool:
    """Return whether two digests of a secret have different values; digests with different keys can't be compared."""
    (key, _, digest), (key_now, _, digest_now) = applied.rpartition(":"), now.rpartition(":")
    # Earlier versions wrote digests without their key's name.
    return key in ("", key_now) and digest != digest_now


def _path(workspace: Workspace, service: str) -> Path:
    return workspace.service_folder(service) / "secrets.key"
