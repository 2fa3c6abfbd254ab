"""Ports for servers of tests that start later, or more than once."""

from __future__ import annotations

import socket
import weakref


def held_port(holder: object) -> int:
    """Return a free port of 127.0.0.1 that no other test gets as long as an object exists.

    Nothing listens on it, so that connections are refused, and whoever asks for it by its number may listen on it.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    weakref.finalize(holder, held.close)
    return int(held.getsockname()[1])
