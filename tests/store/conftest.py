"""The stores that every test of objects meets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from dtk.model.store_settings import StoreSettings
from dtk.store.folder_objects import FolderObjects
from dtk.store.objects import Objects
from dtk.store.s3_objects import S3Objects
from tests.store.stores import MemoryObjects, S3Server, Time


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, StoreSettings]]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    server = S3Server()
    url = server.start()
    settings = StoreSettings("s3", bucket="acme", prefix="platform", region="us-east-1", endpoint_url=url)
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    # Another test's bucket: moto keeps one for the whole process.
    for found in client.list_buckets()["Buckets"]:
        for key in client.list_objects_v2(Bucket=found["Name"]).get("Contents", ()):
            client.delete_object(Bucket=found["Name"], Key=key["Key"])
        client.delete_bucket(Bucket=found["Name"])
    client.create_bucket(Bucket="acme")
    server.requests.clear()
    yield server, settings
    server.stop()


@pytest.fixture(params=["memory", "folder", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "memory":
        return MemoryObjects(Time())
    if request.param == "folder":
        return FolderObjects(tmp_path / "store")
    return S3Objects(request.getfixturevalue("s3")[1])
