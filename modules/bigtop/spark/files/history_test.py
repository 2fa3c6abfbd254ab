"""Find a job that has ended in Spark's history server.

Usage: history_test.py ADDRESS (http://HOST:PORT of the history server)
"""

from __future__ import annotations

import json
import sys
import time
import urllib.request

WITHIN = 60.0  # seconds; the server looks for new logs every ten


def ended(address: str) -> list[str]:
    """Return the names of the jobs that have ended, the newest first."""
    with urllib.request.urlopen(f"{address}/api/v1/applications?status=completed", timeout=10) as answer:
        return [job["name"] for job in json.load(answer)]


def main(address: str) -> int:
    """Run the test; return the exit code."""
    deadline = time.monotonic() + WITHIN
    while not (jobs := ended(address)):
        if time.monotonic() > deadline:
            print(f"{address} knows of no job that has ended: has one run, with eventlog_enabled?", file=sys.stderr)
            return 1
        time.sleep(1)
    print(f"{len(jobs)} jobs have ended, the last one: {jobs[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
