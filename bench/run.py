"""Measures dtk beside what people would use instead, in one run: bench/run [--rounds N] [--only PART]…

A ratio says how much longer dtk takes than the other program on the same machine at the same time: they take turns, so
that a machine that becomes slower slows down both. There are no limits that fail: the numbers are for people.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil

from bench.applies import many, real
from bench.curves import Curve, picture
from bench.hosts import can_serve
from bench.logs import logs
from bench.plans import plans
from bench.scale import scale
from bench.startup import startup
from dtk import __version__

RESULTS = Path(__file__).with_name("results.md")
CURVES = Path(__file__).with_name("curves.svg")
PARTS = ("startup", "plan", "log", "real", "many", "scale")


def machine() -> str:
    """Return the measured versions and the machine, with its load."""
    libraries = ", ".join(f"{name} {version(name)}" for name in ("pyinfra", "paramiko", "typer"))
    load = os.getloadavg()
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; dtk {__version__}, {libraries};"
        f" Python {platform.python_version()}; {platform.system()} {platform.release()}, {os.cpu_count()} cores,"
        f" {psutil.virtual_memory().total / 2**30:.0f} GiB; load average at the start"
        f" {load[0]:.1f}, {load[1]:.1f}, {load[2]:.1f}."
    )


def main() -> None:
    """Measure every requested part and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="How often what takes turns is measured.")
    parser.add_argument("--only", action="append", choices=PARTS, help="Measure this part alone.")
    parser.add_argument("--ansible", default=shutil.which("ansible-playbook") or "", help="ansible-playbook's file.")
    parser.add_argument("--note", default="", help="A sentence for the results: what else ran on the machine.")
    given = parser.parse_args()
    began, curves = time.monotonic(), list[Curve]()
    lines = [
        "# How fast dtk is",
        "",
        f"Written by `bench/run`. Medians of {given.rounds} rounds; a ratio is of runs that took turns, with its"
        " smallest and largest; CPU and peak are of the whole process tree and of its largest process.",
        "",
        machine(),
        *([given.note] if given.note else []),
        "",
    ]

    def part(name: str, title: str, make: Callable[[Path], str]) -> None:
        if given.only and name not in given.only:
            return
        print(f"{name} …", file=sys.stderr)
        with tempfile.TemporaryDirectory(prefix="dtk-bench-") as folder:
            lines.extend([f"## {title}", "", make(Path(folder)), ""])
        RESULTS.write_text("\n".join(lines))

    def with_curves(made: tuple[str, list[Curve]]) -> str:
        curves.extend(made[1])
        return made[0]

    part("startup", "Start-up", lambda folder: startup(folder, given.rounds))
    part("plan", "Planning (bigtop:spark)", lambda folder: with_curves(plans(folder, given.rounds)))
    part("log", "Logs", lambda folder: logs(folder, given.rounds))
    if can_serve():
        part("real", "Applying, on real OpenSSH servers", lambda folder: real(folder, given.rounds, given.ansible))
    part("many", "Many nodes: four commands of 50 ms", lambda folder: with_curves(many(folder, given.rounds)))
    part("scale", "Growth with the number of nodes", lambda folder: with_curves(scale(folder)))
    if curves:
        CURVES.write_text(picture(curves))
        lines += ["![curves](curves.svg)", ""]
    lines.append(f"The run took {(time.monotonic() - began) / 60:.0f} minutes.\n")
    RESULTS.write_text("\n".join(lines))
    print(RESULTS.read_text())


if __name__ == "__main__":
    main()
