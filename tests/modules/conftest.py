"""Fixtures for tests of dtk's own modules: a workspace whose one service is destroyed after the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Dtk


@pytest.fixture
def dtk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Dtk]:
    """Create a workspace; destroy the service that the test's file names in ``SERVICE`` afterwards."""
    made = Dtk(tmp_path)
    made.run("init")
    yield made
    made.run("delete-and-destroy", request.module.SERVICE, "--yes", "--force", code=None)
