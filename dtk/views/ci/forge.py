"""Detects the forge that a job runs on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Forge(StrEnum):
    """The forge to write for; plain is a terminal, a file or any other CI system."""

    GITHUB = "github"
    GITLAB = "gitlab"
    PLAIN = "plain"


class ForgeText(str):
    """Text that a forge interprets; it bypasses the filter for output of modules and hosts."""

    __slots__ = ()


def detected(environment: Mapping[str, str]) -> Forge:
    """Return the forge that a job's environment variables indicate."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return Forge.GITHUB
    return Forge.GITLAB if environment.get("GITLAB_CI") == "true" else Forge.PLAIN
