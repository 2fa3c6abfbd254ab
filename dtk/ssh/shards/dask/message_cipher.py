"""Encrypts the bytes between a bridge and its relay: with the log level debug, Dask logs all messages."""

from __future__ import annotations

from itertools import count

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_KEY_BYTES, _NONCE_BYTES = 32, 12


class MessageCipher:
    """Encrypts what one end sends and decrypts what it receives, in the order in which it was sent.

    The ends agree on the keys with messages that reveal nothing (X25519), so that no log contains what decrypts them.
    TLS verifies who the other end is.
    """

    def __init__(self, own: X25519PrivateKey, other: bytes, *, is_bridge: bool) -> None:
        """``own`` is this end's new private key, ``other`` the public key of the other end."""
        shared = own.exchange(X25519PublicKey.from_public_bytes(other))
        keys = HKDF(SHA256(), 2 * _KEY_BYTES, None, b"dtk shard").derive(shared)
        to_relay, to_bridge = AESGCM(keys[:_KEY_BYTES]), AESGCM(keys[_KEY_BYTES:])
        self._sending, self._receiving = (to_relay, to_bridge) if is_bridge else (to_bridge, to_relay)
        self._sent, self._received = count(), count()

    def encrypt(self, data: bytes) -> bytes:
        """Return the next message, encrypted."""
        return self._sending.encrypt(_nonce(self._sent), data, None)

    def decrypt(self, data: bytes) -> bytes:
        """Return the next message, decrypted.

        Raises:
            cryptography.exceptions.InvalidTag: it is another message, or was altered.
        """
        return self._receiving.decrypt(_nonce(self._received), data, None)


def _nonce(numbers: count[int]) -> bytes:
    return next(numbers).to_bytes(_NONCE_BYTES, "big")
