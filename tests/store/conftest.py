"""Fixtures for the stores that all object tests run against."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dtk.model.store_settings import StoreSettings
from dtk.store.folder_objects import FolderObjects
from dtk.store.objects import Objects
from dtk.store.s3_objects import S3Objects
from tests.store.stores import MemoryObjects, S3Server, Time, serve_s3


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, StoreSettings]]:
    yield from serve_s3(monkeypatch)


@pytest.fixture(params=["memory", "folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "memory":
        return MemoryObjects(Time())
    if request.param == "folder":
        return FolderObjects(tmp_path / "store")
    return S3Objects(request.getfixturevalue("s3")[1])
