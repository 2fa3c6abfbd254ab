"""``python -m dtk.nodes.local MARKER SETTINGS DESCRIPTOR``: put a node's SSH server into the background."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Leave the server to a child that no process of dtk is the parent of, and end."""
    # Before the server's imports, which take long: whoever started this waits for its end.
    if os.fork():
        os._exit(0)
    from dtk.nodes.local.server import run  # noqa: PLC0415

    run(sys.argv[2], int(sys.argv[3]))


main()
