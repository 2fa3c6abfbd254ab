"""Benchmarks of logs: reading a task's log beside parsing its JSON, the delay of a followed log, an idle shell."""

from __future__ import annotations

import json
import os
import pty
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench.sampling import HEAD, command, in_turn, row, table
from bench.workspaces import DTK, quietly

READ = "import json,sys\nfor line in open(sys.argv[1]): json.loads(line)"
OUTPUTS = 20
LOOKS = 20


def logs(folder: Path, rounds: int) -> str:
    """Return the table of snapshots, and the figures of the followed log and of the idle shell."""
    place = folder / "logs"
    place.mkdir()
    quietly(DTK, "init", folder=place)
    rows = []
    for steps, times in ((4_261, rounds), (42_610, 1)):
        log = place / f"{steps}.jsonl"
        count = write_log(log, steps)
        name, anchor = f"snapshot of {count:,} events", f"json.loads of {count:,} lines"
        taken = in_turn(
            times,
            {
                anchor: lambda log=log: command((sys.executable, "-c", READ, log), place),
                name: lambda log=log: command((DTK, "task-status", "--log", log), place),
            },
        )
        rows += [row(anchor, taken[anchor], None), row(name, taken[name], taken[anchor], "json.loads")]
    late = sorted(latencies(place))
    return (
        table(HEAD, rows)
        + f"\nA line that is appended is shown by a followed stream after {statistics.median(late) * 1000:.0f} ms"
        f" (median of {len(late)}; {late[0] * 1000:.0f} to {late[-1] * 1000:.0f}).\n"
        + f"An idle `dtk shell` uses {max(idle_shell(place), 0.0) * 100:.2f} % of a core.\n"
    )


def events(steps: int) -> Iterator[dict[str, object]]:
    """Yield the events of a task of ``steps`` steps, each with lines of output and one operation."""
    leaves = [{"number": f"1.1.{n}", "type": "configure_node", "node": f"n:{n}"} for n in range(1, steps + 1)]
    group = {"number": "1.1", "type": "configure_nodegroup", "node": "n", "steps": leaves}
    yield {"type": "task.planned", "task": 1, "stages": [{"number": "1", "name": "s", "steps": [group]}]}
    yield {"type": "task.started"}
    for leaf in leaves:
        step = {"step": leaf["number"], "node": leaf["node"]}
        yield {"type": "step.started", **step}
        for _ in range(OUTPUTS):
            yield {"type": "step.output", "stream": "stdout", "lines": ["x" * 80], **step}
        done = {"operation": "server.shell", "command": "true", "changed": True, "exit_code": 0, "stdout": "y" * 100}
        yield {"type": "operation.finished", "stderr": "", "seconds": 0.1, **done, **step}
        yield {"type": "step.finished", "status": "succeeded", "seconds": 1.0, **step}
    yield {"type": "task.finished", "status": "succeeded", "seconds": 9.0}


def line_of(sequence: int, event: dict[str, object]) -> str:
    """Return an event as a line of a log."""
    stamp = {"v": 1, "seq": sequence, "ts": "2026-01-01T00:00:00.000000Z", "message": ""}
    return json.dumps({**stamp, **event}) + "\n"


def write_log(file: Path, steps: int) -> int:
    """Write the log of a task of ``steps`` steps; return its number of events."""
    with file.open("w") as out:
        count = 0
        for count, event in enumerate(events(steps), start=1):
            out.write(line_of(count, event))
    return count


def latencies(place: Path) -> Iterator[float]:
    """Yield, for each appended line of a log, the seconds until a following process printed it."""
    follower = (
        "import sys\nfrom pathlib import Path\nfrom dtk.events.log_reader import follow\n"
        "for event in follow(Path(sys.argv[1]), is_alive=lambda: True):\n"
        "    if event: print(event['seq'], flush=True)\n"
    )
    log = place / "followed.jsonl"
    log.write_text(line_of(1, {"type": "task.started"}))
    with subprocess.Popen((sys.executable, "-c", follower, log), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        process.stdout.readline()
        for sequence in range(2, LOOKS + 2):
            # Vary the interval, so that it is not in step with the follower's polling.
            time.sleep(0.05 + 0.007 * (sequence % 5))
            with log.open("a") as out:
                out.write(line_of(sequence, {"type": "step.output", "step": "1", "lines": ["x"]}))
            began = time.perf_counter()
            process.stdout.readline()
            yield time.perf_counter() - began
        process.kill()


def idle_shell(place: Path, seconds: float = 10.0) -> float:
    """Return the share of one core that an idle shell uses."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(place)
        os.execvp(DTK, [DTK, "shell"])  # noqa: S606 - a child of the terminal
    process = psutil.Process(pid)
    time.sleep(5)
    before = process.cpu_times()
    time.sleep(seconds)
    after = process.cpu_times()
    process.kill()
    os.close(terminal)
    process.wait()
    return (after.user + after.system - before.user - before.system) / seconds
