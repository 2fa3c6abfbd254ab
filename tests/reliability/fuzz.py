"""The long form of fuzzing: coverage-guided, over every target, by one command.

``python -m tests.reliability.fuzz [--inputs N] [--minutes N] [--target NAME]… [--figures FILE]`` gives N inputs in all
(a million) to the targets of fuzz_targets.py, more to those that cost less, with libFuzzer by way of atheris, each
target in a process of its own, in rounds: one that is cut short has given all of them some. It ends with 1 when an
input raised what it should not, or took too long of a processor; the inputs are kept and named.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.reliability.mutations import mutated

LONGEST_INPUT = 4096
SLOWEST_SECONDS = 20
"""An input that takes longer of a processor counts as one that hangs: templates are bounded to less."""
HANGS_SECONDS = 300
"""An input that takes longer than this by the clock does not end; on a busy machine others may take long, too."""
ROUND = 50_000
"""Inputs that the targets get, together, before the first gets more."""
MOST_MEGABYTES = 2048


def shares(costs: dict[str, int], inputs: int) -> dict[str, int]:
    """Return how many inputs each target gets: in reverse to the root of what one costs."""
    weights = {name: cost**-0.5 for name, cost in costs.items()}
    total = sum(weights.values())
    return {name: round(inputs * weight / total) for name, weight in weights.items()}


class Tally:
    """Counts inputs and keeps the first of each kind that is a fault; a process that is ended leaves both."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._inputs = folder, 0
        self._known: set[str] = {file.read_text().partition("\n")[0] for file in folder.glob("fault-*.txt")}
        self._counter = (folder / "inputs").open("w+b", buffering=0)

    def count(self) -> None:
        """Count one input."""
        self._inputs += 1
        self._counter.seek(0)
        self._counter.write(struct.pack("q", self._inputs))

    def fault(self, origin: str, data: bytes, details: str) -> None:
        """Keep an input, unless one of the same origin is kept."""
        if origin not in self._known:
            self._known.add(origin)
            (self._folder / f"fault-{len(self._known)}.input").write_bytes(data)
            (self._folder / f"fault-{len(self._known)}.txt").write_text(f"{origin}\n{details}")


def fuzz_one(name: str, inputs: int, seed: int, folder: Path) -> None:
    """Fuzz one target in this process; what it finds is written to a folder. Never returns."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 - of this form alone

    with atheris.instrument_imports(include=["dtk"]):
        from tests.reliability.fuzz_targets import TARGETS  # noqa: PLC0415
    fuzzed, tally = TARGETS[name], Tally(folder)
    seeds, corpus = fuzzed.seeds(), folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, text in enumerate(seeds):
        (corpus / str(number)).write_bytes(text)

    def change(data: bytes, longest: int, chance: int) -> bytes:
        """Half of all changes are libFuzzer's own; the others keep a document a document."""
        if chance % 2:
            return bytes(atheris.Mutate(data, longest))
        return mutated([data, *seeds[:1]], random.Random(chance))[:longest]

    def run(data: bytes) -> None:
        tally.count()
        begun = time.process_time()
        try:
            fuzzed.read(data)
        except fuzzed.errors:
            pass
        except Exception as error:
            tally.fault(_origin(error), data, "".join(traceback.format_exception(error)))
        if time.process_time() - begun > SLOWEST_SECONDS:
            tally.fault("slow", data, f"{time.process_time() - begun:.0f} s of a processor")

    limits = [f"-max_len={LONGEST_INPUT}", f"-timeout={HANGS_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}"]
    prefix = f"-artifact_prefix={folder}/hang-"
    atheris.Setup(
        [sys.argv[0], f"-runs={inputs}", f"-seed={seed}", "-verbosity=0", *limits, prefix, str(corpus)],
        run,
        custom_mutator=change,
    )
    atheris.Fuzz()


def _origin(error: Exception) -> str:
    """Return the kind of an error and the line of dtk that it comes from."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "/dtk/" in frame.filename]
    return f"{type(error).__name__} {own[-1].filename}:{own[-1].lineno}" if own else type(error).__name__


def fuzz_round(folder: Path, name: str, inputs: int, seed: int, seconds: float) -> tuple[int, int]:
    """Fuzz one target in a process of its own for at most so long; return the inputs it got and its exit code.

    The code is 0 for one that was ended for the time.
    """
    folder.mkdir(exist_ok=True)
    (folder / "inputs").unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.reliability.fuzz", "--one", name, str(inputs), str(seed), str(folder)]
    try:
        with (folder / "log").open("ab") as log:
            code = subprocess.run(command, stdout=log, stderr=log, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        code = 0
    counted = (folder / "inputs").read_bytes() if (folder / "inputs").exists() else b""
    return (struct.unpack("q", counted)[0] if counted else 0), code


def main() -> int:
    """Fuzz all targets, or do what a process of its own is started for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=6000)
    parser.add_argument("--target", action="append")
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        fuzz_one(options.one[0], int(options.one[1]), int(options.one[2]), Path(options.one[3]))
    from tests.reliability.fuzz_targets import TARGETS  # noqa: PLC0415 - not instrumented: only in this process

    costs = {name: one.cost for name, one in TARGETS.items() if not options.target or name in options.target}
    kept, until = Path(tempfile.mkdtemp(prefix="dtk-fuzzed-")), time.monotonic() + 60 * options.minutes
    given, codes = dict.fromkeys(costs, 0), dict.fromkeys(costs, 0)
    for seed in itertools.count(1):
        left = options.inputs - sum(given.values())
        for name, inputs in shares(costs, min(left, ROUND)).items() if left > 0 else ():
            seconds = until - time.monotonic()
            if seconds <= 0:
                break
            count, code = fuzz_round(kept / name, name, inputs, seed, seconds)
            given[name] += count
            codes[name] = codes[name] or code
            print(f"round {seed}, {name}: {count} inputs, ended with {code}", flush=True)
        if left <= 0 or time.monotonic() >= until:
            break
    figures = {
        name: {"inputs": given[name], "faults": len(list((kept / name).glob("fault-*.txt"))), "code": codes[name]}
        for name in costs
    }
    if options.figures:
        options.figures.write_text(json.dumps(figures, indent=2) + "\n")
    wrong = sum(one["faults"] + (one["code"] != 0) for one in figures.values())
    print(f"{figures}\n{sum(given.values())} inputs, {wrong} faults; see {kept}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
