"""Stores for tests: in memory with its own clock, with injected faults, and S3 served by moto."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.test import run_wsgi_app

from dtk.model.store_settings import StoreSettings
from dtk.store.errors import StoreError, StoreUnreachableError
from dtk.store.objects import Objects, Stored


@dataclass
class Time:
    """A clock that advances only when a test sets it or something sleeps."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class MemoryObjects:
    """Objects in a dict, with modification times by ``clock``. ``history`` lists every write as (key, data)."""

    clock: Callable[[], float]
    files: dict[str, tuple[bytes, float]] = field(default_factory=dict)
    history: list[tuple[str, bytes]] = field(default_factory=list)

    def get(self, key: str) -> Stored | None:
        if key not in self.files:
            return None
        data, written = self.files[key]
        return Stored(data, etag_of(data), self.clock() - written)

    def put_new(self, key: str, data: bytes) -> str | None:
        return None if key in self.files else self._write(key, data)

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        if key not in self.files or etag_of(self.files[key][0]) != etag:
            return None
        return self._write(key, data)

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        return sorted(key for key in self.files if key.startswith(prefix) and key > after)

    def names(self, prefix: str) -> Sequence[str]:
        below = {key[len(prefix) :] for key in self.files if key.startswith(prefix)}
        return sorted({key.partition("/")[0] for key in below if "/" in key})

    def delete(self, key: str) -> None:
        self.files.pop(key, None)

    def _write(self, key: str, data: bytes) -> str:
        self.files[key] = (data, self.clock())
        self.history.append((key, data))
        return etag_of(data)


def etag_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


T = TypeVar("T")

FAULTS = ("lost answer", "409", "412 of own work", "500", "503 five times", "credentials expired", "hang", "emptied")


@dataclass
class FaultyObjects:
    """Objects that inject a fault into call number ``at`` (from 0). The fault "hang" calls ``hang`` with 90 seconds."""

    inner: Objects
    fault: str = ""
    at: int = -1
    hang: Callable[[float], object] = lambda _: None
    calls: int = 0

    def get(self, key: str) -> Stored | None:
        return self._met(lambda: self.inner.get(key), key, None)

    def put_new(self, key: str, data: bytes) -> str | None:
        return self._met(lambda: self.inner.put_new(key, data), key, None)

    def put_if(self, key: str, data: bytes, etag: str) -> str | None:
        return self._met(lambda: self.inner.put_if(key, data, etag), key, None)

    def list(self, prefix: str, after: str = "") -> Sequence[str]:
        return self.inner.list(prefix, after)

    def names(self, prefix: str) -> Sequence[str]:
        return self.inner.names(prefix)

    def delete(self, key: str) -> None:
        self.inner.delete(key)

    def _met(self, call: Callable[[], T], key: str, refusal: T) -> T:
        number, self.calls = self.calls, self.calls + 1
        last = self.at + (4 if self.fault.startswith("503") else 0)
        if not self.at <= number <= last:
            return call()
        if self.fault == "lost answer":
            call()
        if self.fault == "412 of own work":
            # As when a library repeats a write after a lost answer. A read has no condition that could fail.
            answer = call()
            return answer if isinstance(answer, Stored) else refusal
        if self.fault == "credentials expired":
            raise StoreError("the credentials for the store have expired")
        if self.fault == "emptied":
            self.inner.delete(key)
            return call()
        if self.fault == "hang":
            self.hang(90.0)
        raise StoreUnreachableError(f"injected: {self.fault}")


@dataclass
class S3Fault:
    """A fault that a request to the S3 server meets.

    With ``lost``, the request takes effect but gets no answer. With ``done``, it takes effect and gets the error as its
    answer. With ``hangs``, no answer comes while the server runs. Whether it takes effect depends on ``lost`` and
    ``done``.
    """

    method: str
    code: str = ""
    status: int = 500
    lost: bool = False
    done: bool = False
    hangs: bool = False
    headers: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class S3Server:
    """Moto's S3, one request at a time, because moto is threaded and checks conditions without a lock.

    Each of ``faults`` hits the next request with its method. Those in ``rare`` take turns on every third request with
    their method. An ``outage`` hits every request.
    """

    faults: list[S3Fault] = field(default_factory=list)
    rare: list[S3Fault] = field(default_factory=list)
    outage: S3Fault | None = None
    role_end: datetime | None = None
    """When the role credentials that this server issues as AWS's login portal expire. None: it issues none."""
    met: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _server: BaseWSGIServer | None = None
    _ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> str:
        """Start serving and return the endpoint's URL."""
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._ended.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()

    def _fault(self, method: str) -> S3Fault | None:
        """Return the fault for this request, None if it should succeed."""
        if self.outage is not None:
            return self.outage
        fault = next((one for one in self.faults if one.method == method), None)
        if fault is not None:
            self.faults.remove(fault)
            return fault
        asked = sum(one == method for one, _ in self.requests)
        mine = [one for one in self.rare if one.method == method]
        if not mine or asked % 3:
            return None
        self.met += 1
        return mine[asked // 3 % len(mine)]

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        import io  # noqa: PLC0415
        import socket  # noqa: PLC0415

        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        method = environ["REQUEST_METHOD"]
        if environ["PATH_INFO"] == "/federation/credentials" and self.role_end is not None:
            start_response("200 OK", [("Content-Type", "application/json")])
            keys = {"accessKeyId": "testing", "secretAccessKey": "testing", "sessionToken": "testing"}
            role = {**keys, "expiration": int(self.role_end.timestamp() * 1000)}
            return [json.dumps({"roleCredentials": role}).encode()]
        with self._lock:
            self.requests.append((method, environ["PATH_INFO"]))
            fault = self._fault(method)
            if fault is None or fault.lost or fault.done:
                inner = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
                chunks, status, headers = run_wsgi_app(self._moto, inner)
                data = b"".join(chunks)
        if fault is None:
            start_response(status, list(headers))
            return [data]
        if fault.hangs:
            self._ended.wait()
        if fault.hangs or fault.lost:
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        start_response(f"{fault.status} X", [("Content-Type", "application/xml"), *fault.headers])
        return [f"<Error><Code>{fault.code}</Code><Message>injected</Message></Error>".encode()]


def in_dtk_yaml(settings: StoreSettings) -> str:
    """Return the value of ``store:`` in dtk.yaml for the store of ``serve_s3``."""
    return (
        f"{{type: s3, bucket: {settings.bucket}, prefix: {settings.prefix}, region: {settings.region}, "
        f"endpoint_url: '{settings.endpoint_url}'}}"
    )


def serve_s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, StoreSettings]]:
    """Serve S3 with an empty bucket. Yield the server and the settings of a store in the bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    server = S3Server()
    url = server.start()
    settings = StoreSettings("s3", bucket="acme", prefix="platform", region="us-east-1", endpoint_url=url)
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    # Remove the buckets of other tests, because moto keeps them for the whole process.
    for found in client.list_buckets()["Buckets"]:
        for key in client.list_objects_v2(Bucket=found["Name"]).get("Contents", ()):
            client.delete_object(Bucket=found["Name"], Key=key["Key"])
        client.delete_bucket(Bucket=found["Name"])
    client.create_bucket(Bucket="acme")
    server.requests.clear()
    yield server, settings
    server.stop()
