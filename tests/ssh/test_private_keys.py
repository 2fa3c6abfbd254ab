"""Tests of private key files: all formats, keys that only the SSH agent has, and that a key is opened only once."""

from __future__ import annotations

import base64
import gc
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import paramiko
import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from dtk.apply.passphrases import ask_passphrases
from dtk.errors import DtkError
from dtk.ssh import passphrases
from dtk.ssh.private_keys import UnreachableError, fits, key_in_agent, needs_passphrase, private_key
from tests.ssh.openssh import make_key, ssh_agent


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passphrases, "_known", {})
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "id_ed25519")


@pytest.fixture
def agent(tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run an agent that has the key."""
    with ssh_agent(tmp_path, key) as socket:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
        yield


def public_half(file: Path) -> bytes:
    return base64.b64decode(file.with_name(f"{file.name}.pub").read_text().split()[1])


def encrypt_with_chacha(key: Path) -> None:
    """Protect a key with a cipher that the cryptography library does not have."""
    cipher = ("-Z", "chacha20-poly1305@openssh.com")
    subprocess.run(["ssh-keygen", "-q", "-p", *cipher, "-N", "secret", "-f", key], check=True)


def text(*values: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(value)) + value for value in values)


def put_security_key(file: Path) -> bytes:
    """Write the private half of a key on a security key, as ``ssh-keygen -t ed25519-sk`` does. Return its public one.

    Source: OpenSSH, PROTOCOL.key and PROTOCOL.u2f.
    """
    public = text(b"sk-ssh-ed25519@openssh.com", bytes(32), b"ssh:")
    private = bytes(8) + public + b"\1" + text(b"handle", b"", b"comment")
    private += bytes(range(1, 1 + -len(private) % 8))
    blob = b"openssh-key-v1\0" + text(b"none", b"none", b"") + struct.pack(">I", 1) + text(public, private)
    body = base64.encodebytes(blob).decode()
    file.write_text(f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}-----END OPENSSH PRIVATE KEY-----\n")
    return public


def test_a_key_that_dtk_cannot_read_is_reported_and_not_asked_for(key: Path) -> None:
    encrypt_with_chacha(key)
    assert not needs_passphrase(str(key))
    with pytest.raises(UnreachableError, match=r"can't read the format of the private key .*chacha20"):
        private_key(str(key))
    with pytest.raises(UnreachableError, match="can't read the format"):
        fits(str(key), "secret")


def test_a_key_on_a_security_key_is_reported(tmp_path: Path) -> None:
    put_security_key(tmp_path / "id_ed25519_sk")
    with pytest.raises(UnreachableError, match=r"can't read the format of the private key .*id_ed25519_sk: .*sk-ssh"):
        private_key(str(tmp_path / "id_ed25519_sk"))
    assert not needs_passphrase(str(tmp_path / "id_ed25519_sk"))


@pytest.mark.usefixtures("agent")
def test_a_key_that_dtk_cannot_read_is_used_from_the_agent(key: Path) -> None:
    encrypt_with_chacha(key)
    assert private_key(str(key)).asbytes() == public_half(key)


@pytest.mark.usefixtures("agent")
def test_a_public_key_selects_a_key_of_the_agent(key: Path) -> None:
    key.unlink()
    public = key.with_name("id_ed25519.pub")
    assert private_key(str(public)).asbytes() == base64.b64decode(public.read_text().split()[1])
    assert private_key(str(public)).sign_ssh_data(b"data")


def test_a_public_key_that_no_agent_has_is_reported(key: Path) -> None:
    with pytest.raises(UnreachableError, match=r"id_ed25519\.pub is a public key"):
        private_key(f"{key}.pub")


def test_a_protected_pkcs8_key_opens_with_its_passphrase(tmp_path: Path) -> None:
    file, made = tmp_path / "key.pem", Ed25519PrivateKey.generate()
    file.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert needs_passphrase(str(file))
    answers = iter(["wrong", "secret"])
    ask_passphrases([str(file)], lambda _: next(answers))
    assert private_key(str(file)).asbytes().endswith(made.public_key().public_bytes_raw())
    passphrases._known.clear()
    with pytest.raises(DtkError, match="does not open"):
        ask_passphrases([str(file)], lambda _: "wrong")


def test_a_pkcs8_key_without_a_passphrase_is_read(tmp_path: Path) -> None:
    file, made = tmp_path / "key.pem", Ed25519PrivateKey.generate()
    file.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    assert private_key(str(file)).asbytes().endswith(made.public_key().public_bytes_raw())


@pytest.mark.parametrize("kind", [["rsa"], ["ecdsa", "-b", "256"], ["ecdsa", "-b", "521"], ["ed25519"]])
@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
@pytest.mark.parametrize("passphrase", ["", "secret"])
def test_each_kind_of_key_signs(tmp_path: Path, kind: list[str], form: str, passphrase: str) -> None:
    file = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", *kind, "-m", form, "-N", passphrase, "-f", file], check=True)
    passphrases.unlock({str(file): passphrase} if passphrase else {})
    found = private_key(str(file))
    assert found.asbytes() == public_half(file)
    signed = paramiko.Message(found.sign_ssh_data(b"data").asbytes())
    assert paramiko.PKey.from_type_string(found.get_name(), found.asbytes()).verify_ssh_sig(b"data", signed)


def test_a_certificate_beside_a_key_is_used(key: Path, tmp_path: Path) -> None:
    authority = make_key(tmp_path / "authority")
    assert private_key(str(key)).public_blob is None
    subprocess.run(["ssh-keygen", "-q", "-s", authority, "-I", "me", "-n", "me", f"{key}.pub"], check=True)
    blob = private_key(str(key)).public_blob
    assert blob is not None
    assert blob.key_type == "ssh-ed25519-cert-v01@openssh.com"


def test_a_key_is_opened_once_until_its_file_changes(key: Path) -> None:
    first = private_key(str(key))
    assert private_key(str(key)) is first
    os.utime(key, ns=(1, 1))
    assert private_key(str(key)) is not first
    key.unlink()
    with pytest.raises(UnreachableError, match="does not exist"):
        private_key(str(key))


@pytest.mark.usefixtures("agent")
def test_an_agent_without_the_key_is_left_at_once(tmp_path: Path) -> None:
    other = make_key(tmp_path / "other", "secret")
    gc.collect()  # what earlier tests of this process left open is not closed in between
    before = psutil.Process().num_fds()
    # paramiko's agent and its keys refer to each other: only the garbage collector would close it.
    gc.disable()
    try:
        assert [key_in_agent(str(other)) for _ in range(3)] == [None] * 3
        assert psutil.Process().num_fds() <= before
    finally:
        gc.enable()
