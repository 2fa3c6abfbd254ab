"""Fixtures for tests of dtk's own modules: a workspace whose one service is destroyed after the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import Dtk

if TYPE_CHECKING:
    from tests.testbed.bed import Bed


@pytest.fixture
def dtk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Dtk]:
    """Create a workspace; destroy the service that the test's file names in ``SERVICE`` afterwards."""
    made = Dtk(tmp_path)
    made.run("init")
    yield made
    made.run("delete-and-destroy", request.module.SERVICE, "--yes", "--force", code=None)


@pytest.fixture(scope="module")
def bed() -> Iterator[Bed]:
    """Start an EC2 whose instances boot, for the tests of a file; if it cannot run, skip them."""
    from tests.testbed.bed import running_bed  # noqa: PLC0415 - with moto, which most tests do without

    with running_bed() as made:
        yield made
