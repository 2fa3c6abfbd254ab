"""Which tests may be skipped where everything is installed: those for another system or another user."""

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
"""Reasons that no package removes, as patterns of a whole reason."""


def every_skip_is_expected(environment: Mapping[str, str]) -> bool:
    """Say whether a skip for another reason is a failure here: in CI, and where the test bed is required."""
    if environment.get("DTK_TESTBED") == "required":
        return True
    return environment.get("CI") == "true" and environment.get("DTK_TESTBED") != "optional"


def is_permitted(reason: str) -> bool:
    """Say whether a test may be skipped for a reason anywhere."""
    return any(re.fullmatch(pattern, reason.removeprefix("Skipped: ")) for pattern in PERMITTED)
