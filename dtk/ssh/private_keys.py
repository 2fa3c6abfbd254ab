"""Private keys in files; keys with a passphrase come from the SSH agent or are decrypted with a known passphrase."""

from __future__ import annotations

import base64
import re
import struct
from pathlib import Path

import paramiko

from dtk.errors import DtkError
from dtk.ssh.passphrases import known_passphrases


class UnreachableError(DtkError):
    """A node can't be reached by SSH, or refuses this user."""


_PUBLIC_KEY = re.compile(
    rb"\s*((ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ AAAA|-+BEGIN [A-Z ]*PUBLIC KEY|---- BEGIN SSH2 PUBLIC)"
)
_OPENSSH_BODY = re.compile(rb"-----BEGIN OPENSSH PRIVATE KEY-----(.*?)-----END", re.DOTALL)
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_FIELDS_BEFORE_KEY = 3
"""Cipher, key derivation and its options precede the number of keys and the public key; none of it is encrypted."""


def private_key(path: str) -> paramiko.PKey:
    """Return the private key in a file; one with a passphrase comes from the SSH agent or is decrypted if it is known.

    Raises:
        UnreachableError: the file does not exist, is not a private key, or its passphrase is not known.
    """
    try:
        found = _read(path, None) or key_in_agent(path)
        return found or _opened(path)
    except FileNotFoundError:
        raise UnreachableError(f"the private key {path} does not exist") from None
    except (OSError, ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        raise UnreachableError(f"the private key {path} can't be used: {error}") from None


def needs_passphrase(path: str) -> bool:
    """Return whether a key file has a passphrase that is not known, and the SSH agent does not have the key."""
    try:
        return path not in known_passphrases() and _read(path, None) is None and key_in_agent(path) is None
    except (DtkError, OSError, ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType):
        # Any other problem with the key is reported where the key is used.
        return False


def fits(path: str, passphrase: str) -> bool:
    """Return whether a passphrase decrypts the key in a file."""
    try:
        return _read(path, passphrase) is not None
    except (ValueError, paramiko.SSHException):
        return False


def _opened(path: str) -> paramiko.PKey:
    passphrase = known_passphrases().get(path)
    found = None if passphrase is None else _read(path, passphrase)
    if found is None:
        raise UnreachableError(
            f"the private key {path} is protected by a passphrase",
            hint=f"load it into your SSH agent: ssh-add {path}; a task that is started in a terminal asks for it",
        )
    return found


def _read(path: str, passphrase: str | None) -> paramiko.PKey | None:
    """Return the key in a file, or None if it needs a passphrase and none is given."""
    file = Path(path).expanduser()
    if _PUBLIC_KEY.match(file.read_bytes()):
        raise UnreachableError(f"{path} is a public key", hint=f"name the private one: {path.removesuffix('.pub')}")
    try:
        return paramiko.PKey.from_path(file, passphrase=None if passphrase is None else passphrase.encode())
    except TypeError:
        # The cryptography library raises this if a passphrase is needed and none is given.
        return None


def key_in_agent(path: str) -> paramiko.PKey | None:
    """Return the SSH agent's key with the same public key as a file, or None."""
    public = _public_half(Path(path).expanduser())
    if not public:
        return None
    try:
        keys = paramiko.Agent().get_keys()
    except (OSError, paramiko.SSHException):
        return None
    return next((key for key in keys if key.asbytes() == public), None)


def _public_half(file: Path) -> bytes:
    """Return the public key of a private key file, as SSH encodes it, or b"" if unknown."""
    body = _OPENSSH_BODY.search(file.read_bytes())
    if body is not None:
        return _embedded(base64.b64decode(body[1]))
    beside = file.with_name(f"{file.name}.pub")
    words = beside.read_bytes().split() if beside.exists() else []
    return base64.b64decode(words[1]) if len(words) > 1 else b""


def _embedded(data: bytes) -> bytes:
    """Return the public key in OpenSSH's private key format. Source: OpenSSH, PROTOCOL.key."""
    if not data.startswith(_OPENSSH_MAGIC):
        return b""
    place = len(_OPENSSH_MAGIC)
    for _ in range(_FIELDS_BEFORE_KEY):
        place += 4 + struct.unpack_from(">I", data, place)[0]
    place += 4
    (length,) = struct.unpack_from(">I", data, place)
    return data[place + 4 : place + 4 + length]
