"""Any bytes as a document, template, term or command line give a value or one of the listed errors.

A short form of fuzz.py with the same inputs each time: seeds that are cut, doubled, spliced and overwritten with
meaningful words.
"""

from __future__ import annotations

import random

import pytest

from tests.reliability.fuzz_targets import NO_CACHE, TARGETS, Fuzzed
from tests.reliability.mutations import mutated

EFFORT = 6000
"""The number of inputs of a target with cost 1; others get fewer."""


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused_by_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in NO_CACHE.items():
        monkeypatch.setenv(variable, value)
    fuzzed: Fuzzed = TARGETS[name]
    chance, seeds = random.Random(name), fuzzed.seeds()
    for data in [*seeds, *(mutated(seeds, chance) for _ in range(max(EFFORT // fuzzed.cost, 20)))]:
        try:
            fuzzed.read(data)
        except fuzzed.errors:
            continue
        except Exception as error:
            pytest.fail(f"{data!r}: {type(error).__name__}: {error}")
