"""A service's private key in the store: under its own prefix and encryption key, written once."""

from __future__ import annotations

from pathlib import Path

from dtk.disk.files import make_private_folder, write_bytes_new
from dtk.store.layout import ServiceKeys
from dtk.store.objects import Objects, get_patiently, put_once


def publish_key(access: Objects, keys: ServiceKeys, file: Path) -> bool:
    """Put a service's private key into the store.

    Args:
        access: the store as opened for processes that run tasks (``open_access``).
        keys: the keys of the service in the store.
        file: the private key on this machine.

    Returns:
        True if the store has this key now; False if it already has a different key, which is then the service's key.

    Raises:
        StoreError: the store is unreachable or refuses the request.
    """
    return put_once(access, keys.private_key, file.read_bytes())


def fetch_key(access: Objects, keys: ServiceKeys, file: Path) -> bool:
    """Fetch a service's private key to a file that only this user can read; return whether the store has a key.

    Raises:
        StoreError: the store is unreachable or refuses the request. Permission to read state and logs is not enough to
            read the key.
    """
    found = get_patiently(access, keys.private_key)
    if found is None:
        return False
    if not file.exists() or file.read_bytes() != found.data:
        make_private_folder(file.parent)
        temporary = file.with_name(f".{file.name}.new")
        temporary.unlink(missing_ok=True)
        write_bytes_new(temporary, found.data)
        temporary.replace(file)
    return True


def forget_key(access: Objects, keys: ServiceKeys) -> None:
    """Remove a destroyed service's private key."""
    access.delete(keys.private_key)
