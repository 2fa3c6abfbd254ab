"""The two forms of a suite: the short one runs with all tests, the long one by ``tests/reliability/run --long``."""

from __future__ import annotations

import os

import pytest

IS_LONG = os.environ.get("RELIABILITY_FORM") == "long"
long_form = pytest.mark.skipif(not IS_LONG, reason="in the long form only")
