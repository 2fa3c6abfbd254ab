"""A store in S3 or a compatible service: conditional writes, with each response translated to its meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Protocol, TypedDict, TypeVar

from dtk.model.store_settings import StoreSettings
from dtk.store.errors import StoreError
from dtk.store.objects import Stored
from dtk.store.s3_problems import CHANGED, MISSING, S3Metadata, S3Refusal, code_of, refusal, status_of, unanswered

T = TypeVar("T")

CONNECT_SECONDS = 5
ANSWER_SECONDS = 15
"""Response timeout in seconds: a hanging heartbeat must leave time for more within the shortest lease (30 s)."""


class _Body(Protocol):
    def read(self) -> bytes: ...


class _FoundObject(TypedDict):
    Body: _Body
    ETag: str
    LastModified: datetime
    ResponseMetadata: S3Metadata


class _Key(TypedDict):
    Key: str


class _Prefix(TypedDict):
    Prefix: str


class _Page(TypedDict, total=False):
    Contents: list[_Key]
    CommonPrefixes: list[_Prefix]


class _Pages(Protocol):
    def paginate(self, **arguments: str) -> Iterable[_Page]: ...


class _S3Client(Protocol):
    """The part of boto3's client that dtk uses; boto3 has no type annotations."""

    def get_object(self, **arguments: str) -> _FoundObject: ...

    def put_object(self, **arguments: str | bytes) -> _FoundObject: ...

    def delete_object(self, **arguments: str) -> object: ...

    def get_paginator(self, operation: str, /) -> _Pages: ...


class S3Objects:
    """Objects in a bucket below a prefix."""

    def __init__(self, settings: StoreSettings, *, kms_key: str = "") -> None:
        """Create a client; no request is made yet.

        Args:
            settings: the location of the store.
            kms_key: the key that encrypts objects, "" for the bucket's default.

        Raises:
            StoreError: there are no credentials or no region, or the profile does not exist.
        """
        self._bucket = settings.bucket
        self._prefix = f"{settings.prefix}/" if settings.prefix else ""
        self._encryption = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
        self._client = _client(settings)

    def get(self, key: str) -> Stored | None:
        """Return an object, or None if it does not exist."""

        def read() -> Stored:
            answer = self._client.get_object(**self._at(key))
            return Stored(answer["Body"].read(), answer["ETag"], _age(answer))

        return self._asked(read, key, MISSING)

    def put_new(self, key: str, data: bytes) -> str | None:
        """Write an object that must not exist yet; return its etag, or None if it exists."""
        return self._put(key, data, CHANGED, IfNoneMatch="*")

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        """Replace an object that must still have this etag; return the new etag, or None if it changed or is gone."""
        return self._put(key, data, CHANGED | MISSING, IfMatch=etag)

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        """Return the keys that start with ``prefix`` and sort after ``after``, sorted."""
        start = {"StartAfter": self._prefix + after} if after else {}

        def read() -> list[str]:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix, **start
            )
            return [found["Key"][len(self._prefix) :] for page in pages for found in page.get("Contents", ())]

        return sorted(self._asked(read, prefix, frozenset()) or ())

    def names(self, prefix: str) -> Sequence[str]:
        """Return the names directly below ``prefix`` (which ends with /) that contain objects, sorted."""

        def read() -> list[str]:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix, Delimiter="/"
            )
            return [found["Prefix"].split("/")[-2] for page in pages for found in page.get("CommonPrefixes", ())]

        return sorted(self._asked(read, prefix, frozenset()) or ())

    def delete(self, key: str) -> None:
        """Remove an object; do nothing if it does not exist."""
        self._asked(lambda: self._client.delete_object(**self._at(key)), key, MISSING)

    def _put(self, key: str, data: bytes, refusals: frozenset[int], **condition: str) -> str | None:
        def write() -> str:
            return self._client.put_object(**self._at(key), Body=data, **self._encryption, **condition)["ETag"]

        return self._asked(write, key, refusals)

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _asked(self, request: Callable[[], T], key: str, expected: frozenset[int]) -> T | None:
        """Return the result of a request, or None for a response with one of the expected status codes.

        A bucket that does not exist also gives 404, which is never expected.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # takes a second; only for a store in S3
        from urllib3.exceptions import HTTPError  # noqa: PLC0415

        try:
            return request()
        except ClientError as error:
            answer: S3Refusal = error.response
            if status_of(answer) in expected and code_of(answer) != "NoSuchBucket":
                return None
            raise refusal(answer, self._named(key)) from error
        except (BotoCoreError, HTTPError, OSError, RuntimeError) as error:
            raise unanswered(error, self._named(key)) from error

    def _named(self, key: str) -> str:
        return f"s3://{self._bucket}/{self._prefix}{key}"


def _client(settings: StoreSettings) -> _S3Client:
    import boto3  # noqa: PLC0415  # slow; only for a store in S3
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    config = Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=ANSWER_SECONDS,
        # The protocol itself retries: it first reads what a write without a response did.
        retries={"total_max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.Session(profile_name=settings.profile or None, region_name=settings.region or None)
        client: _S3Client = session.client("s3", endpoint_url=settings.endpoint_url or None, config=config)
        return client
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"the store can't be used: {error}", hint="see 'store:' in dtk.yaml") from error


def _age(answer: _FoundObject) -> float:
    """Return the age of an object in seconds; both times are from the store's clock, in whole seconds."""
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    age = parsedate_to_datetime(headers["date"]) - answer["LastModified"]
    return float(max(age.total_seconds(), 0.0))
