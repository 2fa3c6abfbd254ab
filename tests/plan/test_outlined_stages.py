"""The stages of a picture are those of the full plan, without the cost of making that plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dtk.dsl.template import rendering
from dtk.errors import DtkError
from dtk.model.plan import Stage, Step
from dtk.plan.compile import compile_plan, outlined_stages, resolve_for_plan
from tests.plan.cases import FOLDER, names, request
from tests.plan.test_scale import of_members


def shape(stages: Iterable[Stage]) -> list[tuple[str, str, tuple[object, ...]]]:
    def rows(steps: Iterable[Step]) -> Iterator[object]:
        for step in steps:
            done = [(action.component, action.action) for action in step.actions]
            yield step.number, step.type, step.node, done, tuple(rows(step.steps))

    return [(stage.number, stage.name, tuple(rows(stage.steps))) for stage in stages]


@pytest.mark.parametrize("name", [name for name in names() if (FOLDER / name / "plan.json").exists()])
def test_the_outline_has_the_stages_of_the_plan_of_everything(name: str) -> None:
    made = replace(request(FOLDER / name), scope="all")
    try:
        plan = compile_plan(made)
    except DtkError:
        pytest.skip("what this case plans can't be planned as a whole")
    assert shape(outlined_stages(made, resolve_for_plan(made))) == shape(plan.stages)


def test_an_outline_renders_no_text_of_an_action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = replace(of_members(tmp_path, 20), scope="all")
    resolved = resolve_for_plan(made)
    monkeypatch.setattr(rendering, "_within_bounds", lambda *_: pytest.fail("a text was rendered"))
    assert sum(len([*stage.leaves()]) for stage in outlined_stages(made, resolved)) > 20
