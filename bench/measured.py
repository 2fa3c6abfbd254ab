"""Runs a command and writes what it used, as JSON, to a file: python bench/measured.py FILE COMMAND…

Child processes that outlive the command (dtk's worker, Ansible's masters) count as well: this process becomes their
parent. Those that still run ten seconds after the command's end are killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
LINGER_SECONDS = 10


def children() -> list[int]:
    """Return the process ids of this process's children."""
    task = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in task.read_text().split()]


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    began = time.perf_counter()
    process = subprocess.Popen(arguments[1:], stdout=subprocess.DEVNULL)
    wall = cpu = peak = 0.0
    code, deadline = -1, float("inf")
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG if wall else 0)
        except ChildProcessError:
            break
        if pid:
            cpu += usage.ru_utime + usage.ru_stime
            peak = max(peak, usage.ru_maxrss / 1024)
            if pid == process.pid:
                wall = time.perf_counter() - began
                code, deadline = os.waitstatus_to_exitcode(status), time.monotonic() + LINGER_SECONDS
        elif time.monotonic() > deadline:
            for child in children():
                os.kill(child, signal.SIGKILL)
        else:
            time.sleep(0.02)
    Path(arguments[0]).write_text(json.dumps({"wall": wall, "cpu": cpu, "peak": peak}))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
