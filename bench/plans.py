"""Benchmark of planning a growing group, beside Terraform's plan of as many of its own resources."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.curves import Curve
from bench.sampling import HEAD, Sample, command, in_turn, median, row, table
from bench.workspaces import DTK, converged, quietly, spark

TERRAFORM = 'resource "terraform_data" "one" {\n  count = 1000\n  input = count.index\n}\n'
SIZES = (10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Grown:
    """One size of the group: the samples of planning it, and the size of its plan in bytes."""

    slaves: int
    samples: Sequence[Sample]
    size: int


def plans(folder: Path, rounds: int) -> tuple[str, list[Curve]]:
    """Return the tables of plans and of reading commands, and the curves over the number of slaves."""
    grown = [_planned(spark(folder / f"plan{slaves}", slaves), slaves, rounds) for slaves in SIZES]
    rows = [
        [
            f"{one.slaves:,}",
            f"{median(one.samples):.2f}",
            f"{median(one.samples, 'cpu'):.2f}",
            f"{median(one.samples, 'peak'):.0f}",
            f"{one.size / 1e6:.2f}",
            f"{median(one.samples, 'cpu') / median(before.samples, 'cpu'):.1f}" if before else "",
        ]
        for before, one in zip([None, *grown], grown, strict=False)
    ]
    text = table(["slaves", "wall s", "CPU s", "peak MiB", "plan.json MB", "CPU ÷ the size before"], rows)
    curves = [
        Curve("plan: CPU s", [(one.slaves, median(one.samples, "cpu")) for one in grown]),
        Curve("plan: plan.json MB", [(one.slaves, one.size / 1e6) for one in grown]),
    ]
    return text + "\n" + _beside(folder, rounds), curves


def _planned(place: Path, slaves: int, rounds: int) -> Grown:
    words = (DTK, "plan", "--out", "plan.json")
    samples = in_turn(1 if slaves > 1_000 else rounds, {"": lambda: command(words, place)}, warm_up=False)[""]
    return Grown(slaves, samples, (place / "plan.json").stat().st_size)


def _beside(folder: Path, rounds: int) -> str:
    """Return the cost of each command that reads a service of a thousand slaves, beside Terraform's plan."""
    new, done = folder / "plan1000", converged(spark(folder / "done1000", 1_000))
    runs = {
        "plan, all new": lambda: command((DTK, "plan"), new),
        "plan, nothing changes": lambda: command((DTK, "plan"), done),
        "list-attributes": lambda: command((DTK, "list-attributes"), done),
        "info": lambda: command((DTK, "info", "spark1"), done),
        "graph": lambda: command((DTK, "graph"), done),
    }
    terraform = shutil.which("terraform")
    name = "terraform plan (1,000 resources of its own)"
    if terraform:
        place = folder / "terraform"
        place.mkdir()
        (place / "main.tf").write_text(TERRAFORM)
        quietly(terraform, "init", folder=place)
        runs[name] = lambda: command((terraform, "plan", "-input=false"), place)
    taken = in_turn(rounds, runs)
    anchor = taken.get(name)
    rows = [row(one, samples, anchor if one != name else None, "terraform") for one, samples in taken.items()]
    return table(HEAD, rows)
