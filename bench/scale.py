"""Benchmark of the growth with the number of nodes, with all connections in one process and divided among two."""

from __future__ import annotations

from pathlib import Path

from bench.applies import COMMAND_SECONDS, Bench
from bench.curves import Curve
from bench.hosts import farm
from bench.sampling import Sample, table
from bench.work import COMMANDS

SIZES = (100, 300, 1_000, 3_000, 10_000)
RUNS = (("apply", 1), ("converge", 1), ("converge", 2))
"""The commands, in order, and how many processes hold the connections."""
HEAD = (
    *("nodes", "workers", "", "wall s", "CPU s", "CPU ms for a node's operation", "memory MiB", "open files"),
    *("log MB", "plan.json MB", "state.json MB"),
)
_OPERATIONS = 4


def scale(folder: Path) -> tuple[str, list[Curve]]:
    """Return a table of one run each, and curves over the number of nodes."""
    rows: list[list[str]] = []
    taken: dict[tuple[int, str], list[tuple[int, Sample, float]]] = {}
    for count in SIZES:
        with farm(folder / f"farm{count}", count, COMMAND_SECONDS) as machines:
            bench = Bench(folder / f"scale{count}", machines, COMMANDS)
            bench.prepare()
            for number, (verb, shards) in enumerate(RUNS, start=1):
                sample = bench.dtk(verb, "--workers", str(shards))
                sizes = _sizes(bench.folder / "dtk/.dtk/services/b", number)
                rows.append(_row(count, shards, verb, sample, sizes))
                taken.setdefault((shards, verb), []).append((count, sample, sizes[0]))
    return table(HEAD, rows), _curves(taken)


def _row(count: int, shards: int, verb: str, sample: Sample, sizes: list[float]) -> list[str]:
    each = sample.cpu / count / _OPERATIONS * 1000
    figures = [f"{sample.wall:.1f}", f"{sample.cpu:.1f}", f"{each:.1f}", f"{sample.memory:.0f}", f"{sample.files:,}"]
    return [f"{count:,}", str(shards), verb, *figures, *(f"{size:.2f}" for size in sizes)]


def _sizes(service: Path, task: int) -> list[float]:
    """Return the sizes in MB of a task's log and plan, and of the service's state."""
    files = (f"tasks/{task}/events.jsonl", f"tasks/{task}/plan.json", "state.json")
    return [(service / file).stat().st_size / 1e6 for file in files]


def _curves(taken: dict[tuple[int, str], list[tuple[int, Sample, float]]]) -> list[Curve]:
    curves = []
    for shards in (1, 2):
        runs = taken[shards, "converge"]
        of = f", {shards} worker{'s' if shards > 1 else ''}"
        curves.append(Curve(f"converge: wall s{of}", [(count, one.wall) for count, one, _ in runs]))
        curves.append(Curve(f"converge: CPU s{of}", [(count, one.cpu) for count, one, _ in runs]))
        curves.append(Curve(f"converge: memory MiB{of}", [(count, one.memory) for count, one, _ in runs]))
    runs = taken[1, "converge"]
    curves.append(Curve("open files of a process, 1 worker", [(count, one.files) for count, one, _ in runs]))
    curves.append(Curve("converge: log MB", [(count, log) for count, _, log in runs]))
    return curves
