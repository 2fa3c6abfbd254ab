"""Kills of dtk at points of a service's life: nothing is lost, nothing runs twice unreported, the advice works.

The short form runs a few lives with a fixed seed, in processes as people start them. The long form kills at each point,
in forks of prepared processes: ``tests/reliability/run --long`` (campaign.py).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.life import OPERATIONS, Life, Processes, Undisturbed, chosen_kills
from tests.support.command_line import Dtk

SEED = int(os.environ.get("RELIABILITY_SEED", "1"))
LIVES = int(os.environ.get("RELIABILITY_LIVES", "3"))


@pytest.fixture
def life(tmp_path: Path) -> Iterator[Life]:
    dtk = Dtk(tmp_path / "workspace")
    dtk.root.mkdir()
    made = Life(Processes(dtk, tmp_path / "killer"), tmp_path / "killer")
    made.begin()
    yield made
    if made.workspace.service_file("life1").exists():
        dtk.run("delete-and-destroy", "life1", "--yes", "--force", "--lock-wait", "60s", code=None)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    dtk = Dtk(folder / "workspace")
    dtk.root.mkdir()
    life = Life(Processes(dtk, folder / "killer"), folder / "killer")
    life.begin()
    return life.undisturbed()


def test_the_points_of_a_life_are_many(expected: Undisturbed) -> None:
    assert all(expected.points[operation, "worker"] > 20 for operation in OPERATIONS), expected.points


@pytest.mark.parametrize("seed", range(SEED, SEED + LIVES))
def test_a_life_with_a_kill_in_each_operation_ends_as_an_undisturbed_one(
    life: Life, expected: Undisturbed, seed: int
) -> None:
    kills = {kill.operation: kill for kill in chosen_kills(seed, expected)}
    life.disturbed(kills, expected)
