"""The long form: a kill at each point of a service's life, then kills at random moments, in parallel lanes.

``python -m tests.reliability.campaign [--kills N] [--random N] [--lanes N] [--seed N] [--minutes N] [--figures FILE]``
prints a line for each life and one line of figures at the end. It exits with 1 if a life did not end like an
undisturbed one. Lives are cheap here (forks.py); the nodes are the local target's, with their SSH servers.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.reliability.forks import WORKER_SERVER, Ran, run_command, serve_workers, wait_for_requests
from tests.reliability.life import ROLES, Kill, Life, Undisturbed

Kills = Mapping[str, Kill]
LONGEST_LIFE = 6.0
"""The longest operation on two busy cores, in seconds; random kills fall within half of it."""


class Forks:
    """Runs dtk as forks of this process and of a worker server."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.running = root.parent / "running"
        root.mkdir(parents=True)
        self.running.mkdir()

    def run(self, words: Sequence[str], environment: Mapping[str, str], seconds: float | None = None) -> Ran:
        """Run one command."""
        return run_command(self.root, words, environment, self.running, seconds)

    def is_idle(self) -> bool:
        """Return whether no worker runs."""
        wait_for_requests()
        return not any(self.running.iterdir())


@dataclass
class Figures:
    """The results of the lives of one lane."""

    lives: int = 0
    operations: int = 0
    kills: int = 0
    random_kills: int = 0
    named: int = 0
    wrong: list[str] = field(default_factory=list)


def kills_at_each_point(points: Mapping[tuple[str, str], int], seed: int) -> list[Kills]:
    """Return lives that together kill each point of each operation once, in an order given by the seed."""
    chance = random.Random(seed)
    of_operation: dict[str, list[Kill]] = {}
    for (operation, role), count in points.items():
        of_operation.setdefault(operation, []).extend(Kill(operation, role, at) for at in range(1, count + 1))
    for kills in of_operation.values():
        chance.shuffle(kills)
    longest = max(map(len, of_operation.values()))
    return [
        {operation: kills[number] for operation, kills in of_operation.items() if number < len(kills)}
        for number in range(longest)
    ]


def kills_at_random(operations: Sequence[str], count: int, seed: int) -> Iterator[Kills]:
    """Yield lives with ``count`` kills in all, each after a random time, in the command or in the worker."""
    chance = random.Random(seed)
    while count > 0:
        chosen = operations[:count]
        yield {one: Kill(one, chance.choice(ROLES), 0, chance.uniform(0.02, LONGEST_LIFE) / 2) for one in chosen}
        count -= len(chosen)


def live(kind: type[Life], kills: Kills, expected: Undisturbed, figures: Figures, shown: str) -> None:
    """Run one life in a new workspace and record the result."""
    folder = Path(tempfile.mkdtemp(prefix="dtk-life-"))
    life = kind(Forks(folder / "workspace"), folder / "counts")
    begun = time.monotonic()
    try:
        life.begin()
        life.disturbed(kills, expected)
        shutil.rmtree(folder)
    except BaseException as error:
        text = "".join(traceback.format_exception_only(error))
        figures.wrong.append(f"{shown}: {text.strip()} ({dict(kills)}; kept in {folder})")
    figures.lives += 1
    figures.operations += life.operations_done
    figures.kills += life.kills
    figures.random_kills += life.random_kills
    figures.named += life.reported
    said = figures.wrong[-1] if figures.wrong and figures.wrong[-1].startswith(f"{shown}:") else "as an undisturbed one"
    print(f"{shown}, {life.kills + life.random_kills} kills, {time.monotonic() - begun:.1f} s: {said}", flush=True)


def lane(number: int, lanes: int, options: argparse.Namespace, kind: type[Life], queue: Any) -> None:
    """Run this lane's share of the lives."""
    folder = Path(tempfile.mkdtemp(prefix="dtk-lane-"))
    server = folder / "server"
    os.environ[WORKER_SERVER] = str(server)
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    workers = multiprocessing.get_context("fork").Process(target=serve_workers, args=(server,), daemon=True)
    workers.start()
    while not server.exists():
        time.sleep(0.05)
    figures = Figures()
    try:
        first = kind(Forks(folder / "undisturbed/workspace"), folder / "undisturbed/counts")
        first.begin()
        expected = first.undisturbed()
        meant = options.kill_in or list(kind.operations)
        points_meant = {point: count for point, count in expected.points.items() if point[0] in meant}
        planned = [
            *kills_at_each_point(points_meant, options.seed)[: options.lives],
            *kills_at_random(meant, options.random, options.seed),
        ]
        random.Random(options.seed).shuffle(planned)  # so that a campaign that is cut short has some of both
        until = time.monotonic() + 60 * options.minutes
        for index, kills in enumerate(planned):
            if index % lanes == number and time.monotonic() < until:
                live(kind, kills, expected, figures, f"life {index + 1} of {len(planned)}")
        points = sum(points_meant.values())
    finally:
        workers.terminate()
        shutil.rmtree(folder, ignore_errors=True)
    queue.put((figures, points))


def main() -> int:
    """Run all lives and print the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--lives", type=int, default=100_000, help="at most so many lives with kills at points")
    parser.add_argument("--random", type=int, default=300, help="kills at random moments")
    parser.add_argument("--kill-in", action="append", help="an operation; all where none is named")
    parser.add_argument("--lanes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=600)
    parser.add_argument("--figures", type=Path)
    options = parser.parse_args()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    lanes = [
        context.Process(target=lane, args=(number, options.lanes, options, Life, queue))
        for number in range(options.lanes)
    ]
    for one in lanes:
        one.start()
    found = [queue.get() for _ in lanes]
    wrong = [text for figures, _ in found for text in figures.wrong]
    total = {name: sum(getattr(figures, name) for figures, _ in found) for name in vars(Figures()) if name != "wrong"}
    total |= {"points": found[0][1], "wrong": len(wrong)}
    print(
        "{lives} lives, {operations} operations; {kills} processes killed at points, of which a life has {points}, and"
        " {random_kills} at random moments; in {named} operations steps were in doubt, all named; {wrong} lives did"
        " not end as an undisturbed one".format(**total)
    )
    print(*wrong, sep="\n")
    if options.figures:
        options.figures.write_text(json.dumps(total) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
