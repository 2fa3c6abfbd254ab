"""Which forge a job runs on."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Forge(StrEnum):
    """Whose log and pages the output is for; plain is a terminal, a file, any other CI."""

    GITHUB = "github"
    GITLAB = "gitlab"
    PLAIN = "plain"


class ForgeText(str):
    """Text that a forge acts on. It is written past what makes the output of modules and hosts harmless."""

    __slots__ = ()


def detected(environment: Mapping[str, str]) -> Forge:
    """Return the forge that a job's environment tells of."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return Forge.GITHUB
    return Forge.GITLAB if environment.get("GITLAB_CI") == "true" else Forge.PLAIN
