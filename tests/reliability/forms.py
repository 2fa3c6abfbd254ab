"""The two forms of a suite: the short one runs with all tests, the long one with ``tests/reliability/run --long``."""

from __future__ import annotations

import os
from typing import TypeVar

import pytest

_Case = TypeVar("_Case")

IS_LONG = os.environ.get("RELIABILITY_FORM") == "long"
long_form = pytest.mark.skipif(not IS_LONG, reason="in the long form only")


def shown(*cases: _Case, short: int) -> tuple[_Case, ...]:
    """Return the cases of this form: all in the long form, the first ``short`` in the short form."""
    return cases if IS_LONG else cases[:short]
