"""The text around a stage in the log, which makes it collapsible on a forge's page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dtk.events.tree import TaskStage
from dtk.views.ci import github, gitlab
from dtk.views.ci.forge import Forge, ForgeText
from dtk.views.stream import StageFrame


def stage_frame(forge: Forge, clock: Callable[[], datetime]) -> StageFrame | None:
    """Return the text before and after a stage that makes it collapsible, or None if the forge has none."""
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
