"""Speeds that people feel, as ratios to something known, measured in one run: python bench/run.py [--rounds N].

A ratio says how much longer dtk takes than the thing beside it on the same machine at the same moment; the two are run
in turn, so that a machine that grows slower meanwhile slows both. Nothing here fails: numbers are for people.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULE = (ROOT / "tests/end_to_end/ring.module.yaml").read_text()


@dataclass(frozen=True)
class Pair:
    """Something of dtk's, and what it is measured against."""

    name: str
    ours: Callable[[], object]
    against: str
    other: Callable[[], object]


def python(*words: str, folder: Path | None = None) -> Callable[[], object]:
    """Return a call that runs a Python process to its end."""
    return lambda: subprocess.run([sys.executable, *words], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def workspace(folder: Path, members: int) -> Path:
    """Make a workspace with one staged service of so many members."""
    python("-m", "dtk", "init", folder=folder)()
    module = folder / "modules/acme/ring"
    module.mkdir(parents=True)
    (module / "dtk.module.yaml").write_text(MODULE)
    python(
        "-m", "dtk", "stage", "acme:ring/cluster", "ring1", "--set", f"slaves/cardinality={members}", folder=folder
    )()
    return folder


def log_of(steps: int) -> list[dict[str, object]]:
    """Return the events of a task of so many steps with twenty lines of output each."""
    leaves = [{"number": f"1.{n}", "type": "configure_node", "node": f"n:{n}"} for n in range(1, steps + 1)]
    events: list[dict[str, object]] = [
        {"type": "task.planned", "stages": [{"number": "1", "name": "s", "steps": leaves}]}
    ]
    for leaf in leaves:
        step = {"step": leaf["number"], "node": leaf["node"]}
        events.append({"type": "step.started", **step})
        events += [{"type": "step.output", "stream": "stdout", "lines": ["x" * 80], **step}] * 20
        events.append({"type": "step.finished", "status": "succeeded", **step})
    stamp = {"v": 1, "ts": "2026-01-01T00:00:00.000000Z", "message": ""}
    return [{**stamp, "seq": seq, **event} for seq, event in enumerate(events, start=1)]


def pairs(folder: Path) -> list[Pair]:
    """Return everything that is measured."""
    from dtk.events.fold import fold
    from dtk.views.snapshot_table import render_snapshot

    small, large = (folder / name for name in ("small", "large"))
    for path, members in ((small, 3), (large, 300)):
        path.mkdir()
        workspace(path, members)
    bare = python("-c", "pass")
    typer = python("-c", "import typer")
    events = log_of(300)
    lines = [json.dumps(event) for event in events]
    return [
        Pair("dtk version", python("-m", "dtk", "version"), "import typer", typer),
        Pair("dtk ls", python("-m", "dtk", "ls", folder=small), "import typer", typer),
        Pair("dtk --help", python("-m", "dtk", "--help"), "import typer", typer),
        Pair("dtk plan, 4 nodes", python("-m", "dtk", "plan", folder=small), "bare Python", bare),
        Pair(
            "dtk plan, 301 nodes",
            python("-m", "dtk", "plan", folder=large),
            "dtk plan, 4 nodes",
            python("-m", "dtk", "plan", folder=small),
        ),
        Pair("fold 6,600 events", lambda: fold(events), "reading their JSON", lambda: [json.loads(x) for x in lines]),
        Pair("table of 300 steps", lambda: render_snapshot(fold(events)), "the fold alone", lambda: fold(events)),
    ]


def seconds(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Measure every pair and print a row for each: median seconds, median ratio, its range."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(f"{'what':<22}{'median':>9}   {'ratio':>6}  {'range':<14}to")
    with tempfile.TemporaryDirectory() as folder:
        for pair in pairs(Path(folder)):
            taken = [(seconds(pair.ours), seconds(pair.other)) for _ in range(rounds + 1)][1:]
            ratios = sorted(ours / other for ours, other in taken)
            median = statistics.median(ours for ours, _ in taken)
            spread = f"{ratios[0]:.1f} to {ratios[-1]:.1f}"
            print(f"{pair.name:<22}{median:>7.3f} s   {statistics.median(ratios):>5.1f}x  {spread:<14}{pair.against}")


if __name__ == "__main__":
    main()
