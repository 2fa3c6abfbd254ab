"""A service's private key in the store: below a prefix and under an encryption key of its own, made once."""

from __future__ import annotations

from pathlib import Path

from dtk.state.files import make_private_folder, write_bytes_new
from dtk.store.layout import ServiceKeys
from dtk.store.objects import Objects, get_patiently, put_once


def publish_key(access: Objects, keys: ServiceKeys, file: Path) -> bool:
    """Put a service's private key into the store.

    Args:
        access: the store as those who run tasks see it (``open_access``).
        keys: the service's.
        file: the private key on this machine.

    Returns:
        Whether the store has this key now; False when it has another one, which is the service's.

    Raises:
        StoreError: the store can't be reached, or refuses.
    """
    return put_once(access, keys.private_key, file.read_bytes())


def fetch_key(access: Objects, keys: ServiceKeys, file: Path) -> bool:
    """Bring a service's private key to this machine, for this user alone; return whether the store has one.

    Raises:
        StoreError: the store can't be reached, or refuses: reading state and logs takes less permission.
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
