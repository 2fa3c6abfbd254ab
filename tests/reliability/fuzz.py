"""The long form of fuzzing: coverage-guided, over every target, by one command.

``python -m tests.reliability.fuzz [--inputs N] [--target NAME]… [--figures FILE]`` gives N inputs in all (a million)
to the targets of fuzz_targets.py, more to those that cost less, with libFuzzer by way of atheris, each target in a
process of its own. It ends with 1 when an input raised what it should not; the inputs are kept and named.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

from tests.reliability.mutations import mutated

LONGEST_INPUT = 4096
SLOWEST_SECONDS = 20
"""An input that takes longer counts as one that hangs: templates are bounded to less."""
MOST_MEGABYTES = 2048


def shares(costs: dict[str, int], inputs: int) -> dict[str, int]:
    """Return how many inputs each target gets: in reverse to the root of what one costs."""
    weights = {name: cost**-0.5 for name, cost in costs.items()}
    total = sum(weights.values())
    return {name: round(inputs * weight / total) for name, weight in weights.items()}


def fuzz_one(name: str, inputs: int, folder: Path) -> None:
    """Fuzz one target in this process; what it finds is written to a folder. Never returns."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # noqa: PLC0415 - of this form alone

    with atheris.instrument_imports(include=["dtk"]):
        from tests.reliability.fuzz_targets import TARGETS  # noqa: PLC0415
    fuzzed = TARGETS[name]
    seeds, corpus = fuzzed.seeds(), folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    faults: set[str] = set()

    def change(data: bytes, longest: int, seed: int) -> bytes:
        """Half of all changes are libFuzzer's own; the others keep a document a document."""
        if seed % 2:
            return bytes(atheris.Mutate(data, longest))
        return mutated([data, *seeds[:1]], random.Random(seed))[:longest]

    def run(data: bytes) -> None:
        try:
            fuzzed.read(data)
        except fuzzed.errors:
            pass
        except Exception as error:
            origin = _origin(error)
            if origin not in faults:
                faults.add(origin)
                (folder / f"fault-{len(faults)}.input").write_bytes(data)
                (folder / f"fault-{len(faults)}.txt").write_text("".join(traceback.format_exception(error)))

    limits = [f"-max_len={LONGEST_INPUT}", f"-timeout={SLOWEST_SECONDS}", f"-rss_limit_mb={MOST_MEGABYTES}"]
    prefix = f"-artifact_prefix={folder}/hang-"
    atheris.Setup(
        [sys.argv[0], f"-runs={inputs}", "-seed=1", "-verbosity=0", *limits, prefix, str(corpus)],
        run,
        custom_mutator=change,
    )
    atheris.Fuzz()


def _origin(error: Exception) -> str:
    """Return the kind of an error and the line of dtk that it comes from."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if "/dtk/" in frame.filename]
    return f"{type(error).__name__} {own[-1].filename}:{own[-1].lineno}" if own else type(error).__name__


def main() -> int:
    """Fuzz all targets, or do what a process of its own is started for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--inputs", type=int, default=1_000_000)
    parser.add_argument("--target", action="append")
    parser.add_argument("--figures", type=Path)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        fuzz_one(options.one[0], int(options.one[1]), Path(options.one[2]))
    from tests.reliability.fuzz_targets import TARGETS  # noqa: PLC0415 - not instrumented: only in this process

    costs = {name: one.cost for name, one in TARGETS.items() if not options.target or name in options.target}
    kept = Path(tempfile.mkdtemp(prefix="dtk-fuzzed-"))
    figures: dict[str, Any] = {}
    for name, inputs in shares(costs, options.inputs).items():
        folder = kept / name
        folder.mkdir()
        begun = time.monotonic()
        command = [sys.executable, "-m", "tests.reliability.fuzz", "--one", name, str(inputs), str(folder)]
        done = subprocess.run(command, capture_output=True, check=False)
        (folder / "log").write_bytes(done.stdout + done.stderr)
        faults = [*folder.glob("fault-*.txt"), *folder.glob("hang-*")]
        seconds = time.monotonic() - begun
        figures[name] = {"inputs": inputs, "seconds": round(seconds), "faults": len(faults), "code": done.returncode}
        print(
            f"{name}: {inputs} inputs, {seconds:.0f} s, {len(faults)} faults, ended with {done.returncode}", flush=True
        )
        if options.figures:
            options.figures.write_text(json.dumps(figures, indent=2) + "\n")
    wrong = sum(one["faults"] + (one["code"] != 0) for one in figures.values())
    print(f"{sum(one['inputs'] for one in figures.values())} inputs, {wrong} faults; see {kept}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
