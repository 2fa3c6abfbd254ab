"""The tutorials of docs/, executed as written; the first one, with Dask, is tested in tests/modules."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Dtk
from tests.support.page import run_page

PAGES = {"first-module.md": ("visits1", 19), "first-change.md": ("farm1", 19), "first-ec2.md": ("dask1", 3)}


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Dtk]:
    made = Dtk(tmp_path)
    yield made
    for service, _ in PAGES.values():
        if (tmp_path / "services" / service).exists() and (tmp_path / ".dtk/services" / service / "tasks").exists():
            made.run("delete-and-destroy", service, "--yes", "--force", code=None)


@pytest.mark.parametrize("name", PAGES)
def test_every_step_of_the_page_does_what_it_says(name: str, workspace: Dtk) -> None:
    if name == "first-ec2.md":
        workspace.run("init")
    assert run_page(name, workspace.root) == PAGES[name][1]
