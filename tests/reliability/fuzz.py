"""The long form of fuzzing: coverage-guided, over every target, by one command.

``python -m tests.reliability.fuzz [--inputs N] [--minutes N] [--target NAME]… [--folder FOLDER] [--seed N]`` runs N
inputs in all (default: a million) on the targets of fuzz_targets.py, with libFuzzer through atheris. Cheaper targets
get more inputs. Each target runs in its own process, in rounds, so that a run that is cut short has covered all
targets. The folder keeps the findings, the corpus and the figures: another run in the same folder continues from there
with the next seeds. It exits with 1 if an input raised an unexpected exception or took too much CPU time; these inputs
are kept and named.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

from tests.reliability.mutations import mutated

LONGEST_INPUT = 4096
SLOWEST_SECONDS = 20
"""An input that takes more CPU seconds than this is a fault; the limits on templates are lower."""
HANGS_SECONDS = 300
"""An input that takes more wall-clock seconds than this hangs; the limit is high because a busy machine is slow."""
ROUND = 50_000
"""Inputs of one round, over all targets; a target gets more only after the round."""
MOST_MEGABYTES = 2048


def shares(costs: dict[str, int], inputs: int) -> dict[str, int]:
    """Return how many inputs each target gets: inversely proportional to the square root of an input's cost."""
    weights = {name: cost**-0.5 for name, cost in costs.items()}
    total = sum(weights.values())
    return {name: round(inputs * weight / total) for name, weight in weights.items()}


class Tally:
    """Counts inputs and keeps the first input of each kind of fault; both survive the end of the process."""

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
        """Keep an input, unless one with the same origin has been kept."""
        if origin not in self._known:
            self._known.add(origin)
            (self._folder / f"fault-{len(self._known)}.input").write_bytes(data)
            (self._folder / f"fault-{len(self._known)}.txt").write_text(f"{origin}\n{details}")


def fuzz_one(name: str, inputs: int, seed: int, folder: Path) -> None:
    """Fuzz one target in this process and write the findings to a folder. Never return."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 - of this form alone

    with atheris.instrument_imports(include=["dtk"]):
        from tests.reliability.fuzz_targets import NO_CACHE, TARGETS  # noqa: PLC0415
    os.environ.update(NO_CACHE)
    fuzzed, tally = TARGETS[name], Tally(folder)
    seeds, corpus = fuzzed.seeds(), folder / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, text in enumerate(seeds):
        (corpus / str(number)).write_bytes(text)

    def change(data: bytes, longest: int, chance: int) -> bytes:
        """Mutate an input: half of the changes are libFuzzer's, the other half keep documents parseable."""
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
    """Return the type of an error and the line of dtk that raised it."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "/dtk/" in frame.filename]
    return f"{type(error).__name__} {own[-1].filename}:{own[-1].lineno}" if own else type(error).__name__


def fuzz_round(folder: Path, name: str, inputs: int, seed: int, seconds: float) -> tuple[int, int]:
    """Fuzz one target in a separate process for at most ``seconds``.

    Returns:
        The number of inputs it got, and its exit code: 0 if it was ended because the time was up.
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


@dataclass
class Figures:
    """The figures of all runs in a folder; written after each process, so that none is lost."""

    next_seed: int
    inputs: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, inputs: int, code: int) -> None:
        """Record the inputs that one process ran on a target, and the first exit code that is not 0."""
        self.inputs[name] = self.inputs.get(name, 0) + inputs
        self.codes[name] = self.codes.get(name) or code

    @property
    def total(self) -> int:
        """The number of inputs of all targets."""
        return sum(self.inputs.values())


def fuzz_in_rounds(folder: Path, costs: dict[str, int], options: argparse.Namespace) -> Figures:
    """Give each target its share in each round, until there were enough inputs or the time is up."""
    file, until = folder / "figures.json", time.monotonic() + 60 * options.minutes
    figures = Figures(**json.loads(file.read_text())) if file.exists() else Figures(options.seed)
    while figures.total < options.inputs:
        seed, figures.next_seed, before = figures.next_seed, figures.next_seed + 1, figures.total
        for name, inputs in shares(costs, min(options.inputs - figures.total, ROUND)).items():
            seconds = until - time.monotonic()
            if seconds <= 0:
                return figures
            count, code = fuzz_round(folder / name, name, inputs, seed, seconds)
            figures.add(name, count, code)
            file.write_text(json.dumps(asdict(figures), indent=2) + "\n")
            print(f"seed {seed}, {name}: {count} inputs, ended with {code}; {figures.total} in all", flush=True)
        if figures.total == before:
            return figures  # no target can be run: the next round would be the same
    return figures


def main() -> int:
    """Fuzz all targets; with ``--one``, fuzz one target in this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--minutes", type=float, default=6000)
    parser.add_argument("--target", action="append")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if find_spec("atheris") is None:
        parser.error("atheris is not installed: pip install atheris")
    if options.one:
        fuzz_one(options.one[0], int(options.one[1]), int(options.one[2]), Path(options.one[3]))
    from tests.reliability.fuzz_targets import TARGETS  # noqa: PLC0415 - not instrumented: only in this process

    folder = options.folder or Path(tempfile.mkdtemp(prefix="dtk-fuzzed-"))
    folder.mkdir(exist_ok=True)
    costs = {name: one.cost for name, one in TARGETS.items() if not options.target or name in options.target}
    figures = fuzz_in_rounds(folder, costs, options)
    faults = {name: len(list((folder / name).glob("fault-*.txt"))) for name in figures.inputs}
    for name, inputs in figures.inputs.items():
        print(f"{name}: {inputs} inputs, {faults[name]} faults, ended with {figures.codes[name]}")
    wrong = sum(faults.values()) + sum(code != 0 for code in figures.codes.values())
    print(f"{figures.total} inputs, {wrong} faults; see {folder}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
