"""Private keys in files; keys with a passphrase come from the SSH agent or are decrypted with a known passphrase."""

from __future__ import annotations

import base64
import io
import re
import struct
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

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


_KINDS: dict[type, type[paramiko.PKey]] = {
    rsa.RSAPrivateKey: paramiko.RSAKey,
    ed25519.Ed25519PrivateKey: paramiko.Ed25519Key,
    ec.EllipticCurvePrivateKey: paramiko.ECDSAKey,
}
_UNREADABLE = (OSError, ValueError, struct.error, paramiko.SSHException)


def private_key(path: str) -> paramiko.PKey:
    """Return the private key in a file; one with a passphrase comes from the SSH agent or is decrypted if it is known.

    A public key, and a key in a format that dtk can't read, stand for the SSH agent's key with that public key.

    Raises:
        UnreachableError: the file does not exist, is not a private key, or its passphrase is not known.
    """
    try:
        return _opened_before(path) or _found(path)
    except FileNotFoundError:
        raise UnreachableError(f"the private key {path} does not exist") from None
    except UnsupportedAlgorithm as error:
        raise _unsupported(path, error) from None
    except _UNREADABLE as error:
        raise UnreachableError(f"the private key {path} can't be used: {error}") from None


def needs_passphrase(path: str) -> bool:
    """Return whether a key file has a passphrase that is not known, and the SSH agent does not have the key."""
    try:
        return path not in known_passphrases() and _read(path, None) is None and key_in_agent(path) is None
    except (DtkError, UnsupportedAlgorithm, *_UNREADABLE):
        # Any other problem with the key is reported where the key is used.
        return False


def fits(path: str, passphrase: str) -> bool:
    """Return whether a passphrase decrypts the key in a file.

    Raises:
        UnreachableError: dtk can't read this kind of key, whatever the passphrase.
    """
    try:
        return _read(path, passphrase) is not None
    except UnsupportedAlgorithm as error:
        raise _unsupported(path, error) from None
    except (ValueError, paramiko.SSHException):
        return False


def _unsupported(path: str, error: UnsupportedAlgorithm) -> UnreachableError:
    return UnreachableError(
        f"dtk can't read the format of the private key {path}: {error}",
        hint=f"load it into your SSH agent: ssh-add {path}; or name another key",
    )


_given: dict[str, tuple[bytes, str]] = {}
"""Key files, with their certificates, that another machine has sent."""


def give_key(path: str, content: bytes, certificate: str) -> None:
    """Use this content for a key file: the file itself is on another machine."""
    _given[path] = content, certificate


def key_file(path: str) -> tuple[bytes, str]:
    """Return the content of a key file, and its certificate or "".

    Raises:
        OSError: it can't be read.
    """
    if path in _given:
        return _given[path]
    file = Path(path).expanduser()
    certificate = _certificate(file)
    return file.read_bytes(), certificate.read_text() if certificate.exists() else ""


_opened_keys: dict[str, tuple[list[int], paramiko.PKey]] = {}
"""The keys opened before, with the times at which their files changed: to decrypt one takes 0.2 s."""


def _opened_before(path: str) -> paramiko.PKey | None:
    known = _opened_keys.get(path)
    return known[1] if known and known[0] == _changed(path) else None


def _changed(path: str) -> list[int]:
    files = (Path(path).expanduser(), _certificate(Path(path).expanduser()))
    return [file.stat().st_mtime_ns if file.exists() else 0 for file in files]


def _certificate(file: Path) -> Path:
    return file.with_name(f"{file.name}-cert.pub")


def _found(path: str) -> paramiko.PKey:
    changed = _changed(path)
    try:
        found = _read(path, None)
    except (UnsupportedAlgorithm, UnreachableError):
        # It may also be the public half of a key that only the agent has.
        found = None if path in _given else key_in_agent(path)
        if found is None:
            raise
        return found
    if found is None and path not in _given and (found := key_in_agent(path)):
        # Not kept: one connection to the agent can't sign for several logins at once.
        return found
    found = found or _decrypted(path)
    _opened_keys[path] = (changed, found)
    return found


def _decrypted(path: str) -> paramiko.PKey:
    passphrase = known_passphrases().get(path)
    found = None if passphrase is None else _read(path, passphrase)
    if found is None:
        raise UnreachableError(
            f"the private key {path} is protected by a passphrase",
            hint=f"load it into your SSH agent: ssh-add {path}; a task that is started in a terminal asks for it",
        )
    return found


def _read(path: str, passphrase: str | None) -> paramiko.PKey | None:
    """Return the key in a file, or None if it needs a passphrase and none is given.

    Raises:
        UnsupportedAlgorithm: the file's format, cipher or kind of key is not supported.
    """
    data, certificate = key_file(path)
    if _PUBLIC_KEY.match(data):
        raise UnreachableError(f"{path} is a public key", hint=f"name the private one: {path.removesuffix('.pub')}")
    try:
        key = _parsed(data, None if passphrase is None else passphrase.encode())
    except TypeError:
        # The cryptography library raises this if a passphrase is needed and none is given.
        return None
    if certificate:
        key.load_certificate(certificate)
    return key


def _parsed(data: bytes, passphrase: bytes | None) -> paramiko.PKey:
    """Return a key in any format that the cryptography library knows; paramiko alone does not read PKCS#8."""
    key: PrivateKeyTypes
    try:
        key = load_ssh_private_key(data, passphrase)
    except ValueError:
        key = load_pem_private_key(data, passphrase)
    kind = next((kind for type_, kind in _KINDS.items() if isinstance(key, type_)), None)
    if kind is None:
        raise UnsupportedAlgorithm(f"{type(key).__name__} is not a kind of key that dtk can use")
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return kind.from_private_key(io.StringIO(plain.decode()))


def key_in_agent(path: str) -> paramiko.PKey | None:
    """Return the SSH agent's key with the same public key as a file, or None."""
    public = _public_half(Path(path).expanduser())
    if not public:
        return None
    try:
        agent = paramiko.Agent()
    except (OSError, paramiko.SSHException):
        return None
    found = next((key for key in agent.get_keys() if key.asbytes() == public), None)
    if found is None:
        agent.close()
    return found


def _public_half(file: Path) -> bytes:
    """Return the public key of a key file, private or public, as SSH encodes it, or b"" if unknown."""
    data = file.read_bytes()
    body = _OPENSSH_BODY.search(data)
    if body is not None:
        return _embedded(base64.b64decode(body[1]))
    beside = file.with_name(f"{file.name}.pub")
    text = data if _PUBLIC_KEY.match(data) else beside.read_bytes() if beside.exists() else b""
    words = text.split()
    try:
        return base64.b64decode(words[1]) if len(words) > 1 else b""
    except ValueError:
        return b""


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
