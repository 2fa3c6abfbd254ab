"""Whether something listens on a port; waits for it a little.

Usage: port_up.py HOST PORT
"""

from __future__ import annotations

import socket
import sys
import time

WITHIN = 15.0  # seconds


def main(host: str, port: str) -> int:
    """Try until it answers; return the exit code."""
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            if time.monotonic() > deadline:
                print(f"port {port} of {host} is not up: {error}", file=sys.stderr)
                return 1
            time.sleep(0.5)
        else:
            print(f"port {port} of {host} is up")
            return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
