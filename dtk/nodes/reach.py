"""Checks whether an SSH server answers at an address, and which host key it has."""

from __future__ import annotations

import logging
import socket
import time

from dtk.errors import DtkError
from dtk.model.ssh_address import SshAddress

SILENT_SECONDS = 5.0
"""How long nothing may answer at an address, not even the machine's system, which answers however busy it is.

Linux sends the request for a connection three times in this time, after 0, 1 and 3 s.
"""
_TRY_SECONDS = 10.0
_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_LEAST_SECONDS = 0.1
_BANNER_START = b"SSH-"
# A server that is still starting is normal; without this, paramiko prints a traceback for each attempt.
_LOG = "dtk.nodes.reach"
logging.getLogger(_LOG).addHandler(logging.NullHandler())
logging.getLogger(_LOG).propagate = False


def host_key(hostname: str, port: int) -> str:
    """Return the public host key (``ssh-ed25519 AAAA…``) that the server proves to possess.

    Raises:
        OSError: nothing listens there, or it does not answer in time.
        paramiko.SSHException, EOFError: the answer does not come from a usable SSH server.
    """
    import paramiko  # noqa: PLC0415 - the command line, which asks for banners only, would load it for each task

    with socket.create_connection((hostname, port), timeout=_TRY_SECONDS) as connection:
        transport = paramiko.Transport(connection)
        transport.set_log_channel(_LOG)
        try:
            transport.start_client(timeout=_TRY_SECONDS)
            key = transport.get_remote_server_key()
            return f"{key.get_name()} {key.get_base64()}"
        finally:
            transport.close()


def check_banner(hostname: str, port: int, timeout: float = _TRY_SECONDS) -> None:
    """Return if an SSH server sends its banner at this address.

    Raises:
        OSError: nothing listens there, it does not answer in time, or it is not an SSH server.
    """
    deadline = time.monotonic() + timeout
    with socket.create_connection((hostname, port), timeout=min(timeout, SILENT_SECONDS)) as connection:
        connection.settimeout(max(deadline - time.monotonic(), _LEAST_SECONDS))
        if not connection.recv(255).startswith(_BANNER_START):
            raise OSError("the program that listens there is not an SSH server")


def wait_for_banner(hostname: str, port: int, timeout: float) -> None:
    """Wait until an SSH server sends its banner at this address, with growing pauses between attempts.

    Args:
        hostname: its name or address.
        port: its port.
        timeout: how long to wait, in seconds; at least one attempt is made.

    Raises:
        DtkError: it did not within that time; the message includes the last failure.
    """
    deadline = time.monotonic() + timeout
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return check_banner(hostname, port, max(_LEAST_SECONDS, min(_TRY_SECONDS, deadline - time.monotonic())))
        except OSError as error:
            if time.monotonic() + pause > deadline:
                raise DtkError(
                    f"no SSH server at {SshAddress(hostname, port)} after {timeout:g} s: {error}",
                    hint="check its address and port in dtk.yaml, and that it is switched on",
                ) from error
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
