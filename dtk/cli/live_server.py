"""The server of a running task's page: on loopback, to who knows its token, and nothing but the page and its events.

Any page in the same browser can send requests to loopback, and any user of the machine can. So the address has a token
that nobody can guess; the Host header must be ours, or a name that another site had lead here (DNS rebinding) would
do; and answers say that no other page may frame, load or read them.
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

from dtk.events.log import utc_now
from dtk.events.tree import Task
from dtk.views.report.live import LiveParts, live_page, live_policy
from dtk.views.report.page import Surroundings, page_title

Request: TypeAlias = "socket.socket | tuple[bytes, socket.socket]"

TICK_SECONDS = 1.0
"""Between two events of a stream at the most, while nothing is new: times go on."""
SHARE = 10
"""A stream rests so many times as long as its last parts took to make: a page of 1,000 nodes must not slow the task."""
SHORTEST_REST = 0.25
MOST_STREAMS = 16
"""Browsers that follow at a time."""
IDLE_SECONDS = 20.0
"""A client that neither sends nor takes anything for so long is cut off."""
END_SECONDS = 10.0
"""How long the end of the task waits for browsers to take it."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class TaskFeed:
    """A task as its log tells it now, handed from the thread that reads to those that serve."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._task = Task()
        self._version = 0

    def publish(self, task: Task) -> None:
        """Take the task as it is now."""
        with self._news:
            self._task = task
            self._version += 1
            self._news.notify_all()

    def newer(self, version: int, seconds: float) -> tuple[Task, int]:
        """Return the task and its version, as soon as that is not ``version``, or after so many seconds."""
        with self._news:
            self._news.wait_for(lambda: self._version != version, seconds)
            return self._task, self._version


class LiveServer(ThreadingHTTPServer):
    """Serves a task's page at ``address`` until it is closed."""

    daemon_threads = True
    # A second server on the same port would get what is meant for this one.
    allow_reuse_address = False

    def __init__(self, feed: TaskFeed, around: Surroundings) -> None:
        """Listen on a port that the system chooses."""
        super().__init__(("127.0.0.1", 0), _Requests)
        self.feed = feed
        self.around = around
        self._token = secrets.token_urlsafe(24)
        self._streams = 0
        self._count = threading.Condition()
        self.was_opened = threading.Event()

    @property
    def address(self) -> str:
        """The page's address, with its token."""
        return f"http://127.0.0.1:{self.server_port}/{self._token}/"

    def is_own_host(self, host: str) -> bool:
        """Say whether a request was meant for this server, and not for a name that was made to lead here."""
        return host in (f"127.0.0.1:{self.server_port}", f"localhost:{self.server_port}")

    def place_of(self, path: str) -> str | None:
        """Return what of ``/TOKEN/…`` a request asks for; None where it does not know the token."""
        token, slash, place = path.removeprefix("/").partition("/")
        return place if slash and hmac.compare_digest(token.encode(), self._token.encode()) else None

    @contextmanager
    def counted_stream(self) -> Iterator[bool]:
        """Count a stream while it runs; yields whether there was room for it."""
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
        """Wait until all browsers have been told the task's end, or too long."""
        with self._count:
            self._count.wait_for(lambda: self._streams == 0, END_SECONDS)

    def handle_error(self, request: Request, client_address: object) -> None:
        """Say nothing of a browser that has gone in the midst of an answer."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Requests(BaseHTTPRequestHandler):
    server: LiveServer
    timeout = IDLE_SECONDS
    server_version = "dtk"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with the page or its events; with nothing else, and to nobody else."""
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
            # Sent each time: it says that all is sent, and that somebody is there.
            self._send("title", page_title(task))
            if not task.is_over:
                time.sleep(max(SHORTEST_REST, (time.monotonic() - began) * SHARE))
        self._send("end", f"The task is over: {task.status}.")

    def _send(self, kind: str, data: str | dict[str, str]) -> None:
        """Send one event; its data is JSON, which has no line breaks that could end it."""
        self.wfile.write(f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Write no log: it would have the token in it."""


@contextmanager
def serving(server: LiveServer) -> Iterator[None]:
    """Serve in the background; browsers that follow are told the end before the server closes."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        with suppress(OSError):
            server.shutdown()
            server.server_close()
