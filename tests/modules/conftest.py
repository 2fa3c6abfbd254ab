"""What the tests of dtk's own modules share: a workspace whose one service is gone when its test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import Dtk


@pytest.fixture
def dtk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Dtk]:
    """A workspace; the service that the test's file calls ``SERVICE`` is destroyed in the end."""
    made = Dtk(tmp_path)
    made.run("init")
    yield made
    made.run("delete-and-destroy", request.module.SERVICE, "--yes", "--force", code=None)
