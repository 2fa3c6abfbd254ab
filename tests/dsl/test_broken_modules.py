"""Each mistake in a module is reported with its location, what was found, what was expected, and the nearest name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtk.dsl.module import load_module
from dtk.errors import InvalidError
from tests.dsl.broken_modules import EXPECTED, cases, said_about


@pytest.mark.parametrize("folder", cases(), ids=lambda folder: folder.name)
def test_a_broken_module_is_told_exactly_what_is_wrong(folder: Path) -> None:
    assert said_about(folder) == (folder / EXPECTED).read_text(encoding="utf-8")


@pytest.mark.parametrize("folder", cases(), ids=lambda folder: folder.name)
def test_every_problem_has_a_place_and_they_come_in_file_order(folder: Path) -> None:
    with pytest.raises(InvalidError) as caught:
        load_module(folder, folder)
    locations = [problem.location for problem in caught.value.problems]
    assert None not in locations
    assert all(location.file and location.line >= 1 and location.column >= 1 for location in locations if location)
    assert caught.value.exit_code == 3
    for file in {location.file for location in locations if location}:
        lines = [location for location in locations if location and location.file == file]
        assert lines == sorted(lines)


def test_ten_mistakes_in_one_module_are_ten_errors() -> None:
    folder = next(folder for folder in cases() if folder.name == "ten_mistakes")
    with pytest.raises(InvalidError) as caught:
        load_module(folder, folder)
    assert len(caught.value.problems) == 10
    assert len({problem.location for problem in caught.value.problems}) == 10


def test_the_corpus_holds_many_different_mistakes() -> None:
    texts = {(folder / "dtk.module.yaml").read_bytes() for folder in cases() if (folder / "dtk.module.yaml").exists()}
    assert len(texts) >= 150
    assert all((folder / EXPECTED).stat().st_size for folder in cases())
