"""Opens the store that the settings describe."""

from __future__ import annotations

from pathlib import Path

from dtk.model.store_settings import StoreSettings
from dtk.store.folder_objects import FolderObjects
from dtk.store.objects import Objects


def open_objects(settings: StoreSettings) -> Objects:
    """Return the objects of a store.

    Raises:
        StoreError: there are no credentials for the store.
    """
    return _opened(settings, settings.kms_key)


def open_access(settings: StoreSettings) -> Objects:
    """Return the objects of a store for private keys, which have their own encryption key."""
    return _opened(settings, settings.access_kms_key or settings.kms_key)


def _opened(settings: StoreSettings, kms_key: str) -> Objects:
    if settings.type == "folder":
        return FolderObjects(Path(settings.path))
    from dtk.store.s3_objects import S3Objects  # noqa: PLC0415

    return S3Objects(settings, kms_key=kms_key)
