"""The process that runs a script on machines: ``python -m dtk.refresh.ask_worker``; JSON on stdin and stdout."""

from __future__ import annotations

from dtk.ssh.cooperative import patch_standard_library

patch_standard_library()  # before the other imports

import json  # noqa: E402
import sys  # noqa: E402

from dtk.ssh.asking import ask_all  # noqa: E402
from dtk.ssh.question import read_question  # noqa: E402


def main() -> int:
    """Run the question's script on all of its machines in parallel; print the output of each."""
    json.dump(ask_all(read_question(sys.stdin.read())), sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
