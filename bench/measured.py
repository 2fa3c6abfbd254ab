"""Runs a command and writes what it used, as JSON, to a file: python bench/measured.py FILE COMMAND…

It counts CPU time and the memory of the largest process over the whole process tree, and samples the tree's memory and
the open files of the process with the most. Child processes that outlive the command (dtk's worker, Ansible's masters)
count as well: this process becomes their parent. Those that still run ten seconds after the command's end are killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

PR_SET_CHILD_SUBREAPER = 36
LINGER_SECONDS = 10
SAMPLE_SECONDS = 0.25


def children() -> list[int]:
    """Return the process ids of this process's children."""
    task = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(pid) for pid in task.read_text().split()]


class Samples(threading.Thread):
    """The largest values seen: ``memory`` of all processes together in MiB, ``files`` that one of them has open."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.memory, self.files = 0.0, 0

    def run(self) -> None:
        """Take a sample several times a second, until this process ends."""
        own = psutil.Process()
        while True:
            time.sleep(SAMPLE_SECONDS)
            memory = 0
            for child in own.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    memory += child.memory_info().rss
                    self.files = max(self.files, child.num_fds())
            self.memory = max(self.memory, memory / 2**20)


def main(arguments: list[str]) -> int:
    """Run the command; return its exit code."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    samples = Samples()
    samples.start()
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
    Path(arguments[0]).write_text(
        json.dumps(
            {"wall": wall, "cpu": cpu, "peak": peak, "memory": max(samples.memory, peak), "files": samples.files}
        )
    )
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
