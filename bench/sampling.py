"""Samples of commands that take turns, and their table rows: medians, and ratios with their spread."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

MEASURED = Path(__file__).with_name("measured.py")


@dataclass(frozen=True)
class Sample:
    """The cost of one run.

    ``wall`` and ``cpu`` are seconds, of all its processes; ``peak`` is the memory of the largest process and ``memory``
    that of all together, in MiB; ``files`` is how many files one process has open at most.
    """

    wall: float
    cpu: float = 0.0
    peak: float = 0.0
    memory: float = 0.0
    files: int = 0


Run = Callable[[], Sample]


def command(words: Sequence[str | Path], folder: Path | None = None, **environment: str) -> Sample:
    """Run a command until all its processes have ended; return its cost.

    Raises:
        RuntimeError: it failed.
    """
    with tempfile.NamedTemporaryFile() as taken:
        done = subprocess.run(
            [sys.executable, MEASURED, taken.name, *words],
            cwd=folder,
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, words))} failed ({done.returncode}): {done.stderr[-2000:]}")
        return Sample(**json.loads(Path(taken.name).read_text()))


def in_turn(rounds: int, runs: Mapping[str, Run], *, warm_up: bool = True) -> dict[str, list[Sample]]:
    """Run all of them in turn, so that a machine that becomes slower slows down all of them.

    Args:
        rounds: the number of samples of each run.
        runs: the runs, by name.
        warm_up: add a first round that is not counted.
    """
    taken: dict[str, list[Sample]] = {name: [] for name in runs}
    for at in range(rounds + warm_up):
        for name, run in runs.items():
            sample = run()
            if at or not warm_up:
                taken[name].append(sample)
    return taken


def median(samples: Sequence[Sample], what: str = "wall") -> float:
    """Return the median of one figure."""
    return statistics.median(getattr(sample, what) for sample in samples)


def ratio(samples: Sequence[Sample], anchor: Sequence[Sample], what: str = "wall") -> str:
    """Return the median, smallest and largest ratio of runs that took turns: ``1.20 (1.11 to 1.32)``."""
    ratios = sorted(
        getattr(one, what) / max(getattr(other, what), 1e-9) for one, other in zip(samples, anchor, strict=True)
    )
    return f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def row(name: str, samples: Sequence[Sample], anchor: Sequence[Sample] | None, anchor_name: str = "") -> list[str]:
    """Return a table row: name, wall, CPU, peak, and the ratios of wall and CPU to the anchor."""
    cells = [name, f"{median(samples):.3f}", f"{median(samples, 'cpu'):.3f}", f"{median(samples, 'peak'):.0f}"]
    if anchor is None:
        return [*cells, "", "", ""]
    return [*cells, anchor_name, ratio(samples, anchor), ratio(samples, anchor, "cpu")]


HEAD = ["what", "wall s", "CPU s", "peak MiB", "beside", "wall ÷", "CPU ÷"]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"
