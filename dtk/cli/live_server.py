"""The server of a running task's page: on loopback, for holders of its token, and only for the page and its events.

Any page in the same browser, and any user of the machine, can send requests to loopback. So the address has a token
that nobody can guess; the Host header must be the server's own, because another site could make its name resolve to
loopback (DNS rebinding); and responses forbid other pages to frame, load or read them.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TypeAlias

from dtk.events.event import utc_now
from dtk.events.tree import Task
from dtk.views.report.live import LiveParts, live_page, live_policy
from dtk.views.report.page import Surroundings, page_title

Request: TypeAlias = "socket.socket | tuple[bytes, socket.socket]"

TICK_SECONDS = 1.0
"""Maximum number of seconds between two events of a stream, even if nothing is new: elapsed times change."""
SHARE = 10
"""A stream pauses this many times the time its last parts took: a page of 1,000 nodes must not slow the task."""
SHORTEST_REST = 0.25
MOST_STREAMS = 16
"""Maximum number of browsers that follow at the same time."""
IDLE_SECONDS = 20.0
"""A client that sends and receives nothing for this many seconds is disconnected."""
END_SECONDS = 10.0
"""How long the end of a task waits for browsers to receive it, in seconds."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class TaskFeed:
    """The current state of a task, passed from the thread that reads the log to those that serve it."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._task = Task()
        self._version = 0

    def publish(self, task: Task) -> None:
        """Set the current state of the task."""
        with self._news:
            self._task = task
            self._version += 1
            self._news.notify_all()

    def newer(self, version: int, seconds: float) -> tuple[Task, int]:
        """Return the task and its version once that differs from ``version``, at the latest after ``seconds``."""
        with self._news:
            self._news.wait_for(lambda: self._version != version, seconds)
            return self._task, self._version


class LiveServer(ThreadingHTTPServer):
    """Serves a task's page at ``address`` until it is closed."""

    daemon_threads = True
    # Otherwise, a second server could reuse the port and receive requests meant for this one.
    allow_reuse_address = False

    def __init__(self, feed: TaskFeed, around: Surroundings) -> None:
        """Listen on a port chosen by the system."""
        super().__init__(("127.0.0.1", 0), _Requests)
        self.feed = feed
        self.around = around
        self._token = secrets.token_urlsafe(24)
        self._streams = 0
        self._count = threading.Condition()
        self.was_opened = threading.Event()

    @property
    def address(self) -> str:
        """The page's address, including its token."""
        return f"http://127.0.0.1:{self.server_port}/{self._token}/"

    def is_own_host(self, host: str) -> bool:
        """Return whether a Host header is this server's own, and not another name that resolves to it."""
        return host in (f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}")

    def place_of(self, path: str) -> str | None:
        """Return the part after the token of a path ``/TOKEN/…``, or None if the token is wrong."""
        token, slash, place = path.removeprefix("/").partition("/")
        return place if slash and hmac.compare_digest(token.encode(), self._token.encode()) else None

    @contextmanager
    def counted_stream(self) -> Iterator[bool]:
        """Count a stream while it runs; yield whether it is within the limit."""
        with self._count:
            has_room = self._streams < MOST_STREAMS
            self._streams += has_room
        try:
            yield has_room
        finally:
            with self._count:
                self._streams -= has_room
                self._count.notify_all()

    def wait_for_streams(self) -> None:
        """Wait until all browsers have received the end of the task, at most ``END_SECONDS``."""
        with self._count:
            self._count.wait_for(lambda: self._streams == 0, END_SECONDS)

    def handle_error(self, request: Request, client_address: object) -> None:
        """Ignore browsers that disconnect during a response."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Requests(BaseHTTPRequestHandler):
    server: LiveServer
    timeout = IDLE_SECONDS
    server_version = "dtk"
    sys_version = ""

    def do_GET(self) -> None:
        """Respond with the page or its events, and only to authorized requests."""
        place = self.server.place_of(self.path)
        origin = self.headers.get("Origin", "")
        if not self.server.is_own_host(self.headers.get("Host", "")) or (
            origin and not self.server.is_own_host(origin.removeprefix("http://"))
        ):
            self._refuse(HTTPStatus.FORBIDDEN)
        elif place == "":
            self._send_page()
        elif place == "events":
            with self.server.counted_stream() as has_room:
                self._send_events() if has_room else self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self._refuse(HTTPStatus.NOT_FOUND)

    def _refuse(self, status: HTTPStatus) -> None:
        self._begin(status, "text/plain; charset=utf-8")
        self.wfile.write(f"{status.phrase}\n".encode())

    def _begin(self, status: HTTPStatus, content_type: str, policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        for name, value in {"Content-Type": content_type, "Content-Security-Policy": policy, **_HEADERS}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send_page(self) -> None:
        task, _ = self.server.feed.newer(-1, 0)
        nonce = secrets.token_urlsafe(16)
        self._begin(HTTPStatus.OK, "text/html; charset=utf-8", f"{live_policy(nonce)}; frame-ancestors 'none'")
        self.wfile.write(live_page(task, utc_now(), self.server.around, nonce).encode())
        self.server.was_opened.set()

    def _send_events(self) -> None:
        self._begin(HTTPStatus.OK, "text/event-stream; charset=utf-8")
        sent = LiveParts(self.server.around)
        task, version = Task(), -1
        while not task.is_over:
            task, version = self.server.feed.newer(version, TICK_SECONDS)
            began = time.monotonic()
            for part in sent.changed(task, utc_now()):
                self._send("part", {"place": part.place, "html": part.markup})
            # Sent each time: it marks the end of an update and shows that the server is alive.
            self._send("title", page_title(task))
            if not task.is_over:
                time.sleep(max(SHORTEST_REST, (time.monotonic() - began) * SHARE))
        self._send("end", f"The task has finished: {task.status}.")

    def _send(self, kind: str, data: str | dict[str, str]) -> None:
        """Send one event; its data is JSON, because line breaks would end the event."""
        self.wfile.write(f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Write no log, because it would contain the token."""


@contextmanager
def serving(server: LiveServer) -> Iterator[None]:
    """Serve in the background; tell the end to following browsers before the server closes."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            server.shutdown()
            server.server_close()
