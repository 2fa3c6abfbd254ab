"""Which tests may be skipped even if everything is installed: those that need another system or user."""

from __future__ import annotations

import re
from collections.abc import Mapping

PERMITTED = (
    r"Linux only",
    r"only Linux lets a server adopt its node's orphans",
    r"only root can make a setuid program",
    r"another user can always read its own files",
    r"root's nodes stand elsewhere",
    r"hadolint is for Linux on x86_64",
    r"a small filesystem can only be made by root on Linux",
    r"a network of its own can only be made by root on Linux",
    r"in the long form only",
    r"only root can be another user",
    r"a small disk can't be mounted here \(it takes root on Linux\)",
)
"""Patterns of skip reasons that installing packages can't resolve. Each must match a whole reason."""


def every_skip_is_expected(environment: Mapping[str, str]) -> bool:
    """Return whether any other skip is a failure: in CI, and where the test bed is required."""
    if environment.get("DTK_TESTBED") == "required":
        return True
    return environment.get("CI") == "true" and environment.get("DTK_TESTBED") != "optional"


def is_permitted(reason: str) -> bool:
    """Return whether a test may be skipped for this reason everywhere."""
    return any(re.fullmatch(pattern, reason.removeprefix("Skipped: ")) for pattern in PERMITTED)
