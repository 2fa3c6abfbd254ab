"""``python -m dtk.nodes.local MARKER SETTINGS DESCRIPTOR``: starts a node's SSH server in the background."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the server in a child process that is not a child of dtk's process, and exit."""
    # Before the server's imports, which are slow: the process that started this one waits for its end.
    if os.fork():
        os._exit(0)
    from dtk.nodes.local.server import run  # noqa: PLC0415

    run(sys.argv[2], int(sys.argv[3]))


main()
