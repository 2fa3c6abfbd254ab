"""Whatever bytes a document, a template, a term or a command line consists of, the answer is a value or a named error.

A short form of fuzz.py, the same inputs each time: seeds that are cut, doubled, spliced and overwritten with words
that mean something.
"""

from __future__ import annotations

import random

import pytest

from tests.reliability.fuzz_targets import TARGETS, Fuzzed
from tests.reliability.mutations import mutated

EFFORT = 6000
"""Inputs of a target that costs 1; others get fewer."""


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_or_refused_by_name(name: str) -> None:
    fuzzed: Fuzzed = TARGETS[name]
    chance, seeds = random.Random(name), fuzzed.seeds()
    for data in [*seeds, *(mutated(seeds, chance) for _ in range(max(EFFORT // fuzzed.cost, 20)))]:
        try:
            fuzzed.read(data)
        except fuzzed.errors:
            continue
        except Exception as error:
            pytest.fail(f"{data!r}: {type(error).__name__}: {error}")
