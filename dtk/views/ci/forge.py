"""Which forge a job runs on, and what it takes to fold a stage's part of the log there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum

from dtk.events.tree import TaskStage
from dtk.views.ci import github, gitlab
from dtk.views.stream import StageFrame


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


def stage_frame(forge: Forge, clock: Callable[[], datetime]) -> StageFrame | None:
    """Return what stands around a stage in the stream so that the forge folds it; None where nothing does."""
    if forge is Forge.GITHUB:
        return StageFrame(
            lambda stage: ForgeText(github.group_start(_title(stage))), lambda _: ForgeText(github.group_end())
        )
    if forge is Forge.GITLAB:
        return StageFrame(
            lambda stage: ForgeText(gitlab.section_start(f"stage_{stage.number}", _title(stage), clock())),
            lambda stage: ForgeText(gitlab.section_end(f"stage_{stage.number}", clock())),
        )
    return None


def _title(stage: TaskStage) -> str:
    return f"STAGE {stage.number}: {stage.name}"
