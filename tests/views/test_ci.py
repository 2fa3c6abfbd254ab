"""Output for forges: groups, annotations, summaries, and the progress of a followed task."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dtk.errors import Location, Problem
from dtk.events.fold import fold
from dtk.plan.document import from_text
from dtk.views.ci import github, gitlab
from dtk.views.ci.annotation import MOST_ANNOTATIONS, Annotation, fitting, problem_annotations, task_annotations
from dtk.views.ci.forge import Forge, ForgeText, detected
from dtk.views.ci.stage_frame import stage_frame
from dtk.views.ci.task_markdown import task_markdown
from dtk.views.plan_markdown import plan_markdown
from dtk.views.progress import RunningSteps
from dtk.views.stream import stream
from tests.support.recorded_tasks import NOW, begin, failed, large, ring_plan, running
from tests.support.recorder import Recorder

PLANS = Path(__file__).resolve().parents[1] / "plans"


@pytest.mark.parametrize(
    ("environment", "found"),
    [({"GITHUB_ACTIONS": "true"}, "github"), ({"GITLAB_CI": "true"}, "gitlab"), ({"CI": "true"}, "plain")],
)
def test_the_environment_tells_the_forge(environment: dict[str, str], found: str) -> None:
    assert detected(environment) == found


def framed(recorder: Recorder, forge: Forge) -> list[str]:
    texts = stream(recorder.events, frame=stage_frame(forge, lambda: NOW))
    return [str(text) for text in texts if isinstance(text, ForgeText)]


def test_each_stage_is_a_group_that_ends(tmp_path: Path) -> None:
    recorder = failed(tmp_path / "events.jsonl")
    assert framed(recorder, Forge.GITHUB) == [
        line
        for stage in ("1: create_nodes_stage", "2: hub", "3: members")
        for line in (f"::group::STAGE {stage}\n", "::endgroup::\n")
    ]
    assert framed(recorder, Forge.GITLAB)[:2] == [
        f"\x1b[0Ksection_start:{int(NOW.timestamp())}:stage_1\r\x1b[0KSTAGE 1: create_nodes_stage\n",
        f"\x1b[0Ksection_end:{int(NOW.timestamp())}:stage_1\r\x1b[0K\n",
    ]
    assert framed(recorder, Forge.PLAIN) == []


def test_a_failed_step_is_an_annotation_at_the_line_of_its_action(tmp_path: Path) -> None:
    task = fold(failed(tmp_path / "events.jsonl").events)
    place = Location("modules/acme/ring/dtk.module.yaml", 12, 7)
    found = task_annotations(task, lambda component, action: place if component == "ring::member" else None)
    line = github.annotation_line(found[0])
    assert line.startswith(
        "::error file=modules/acme/ring/dtk.module.yaml,line=12,col=7,title=slaves%3A1%3A 3.1.1 members::"
        "Component ring::member: the command failed with exit code 7%0A  RUN: join hub --port 7400"
    )
    assert line.count("\n") == 1


def test_ten_annotations_and_how_many_more(tmp_path: Path) -> None:
    problems = [Problem(f"mistake {number}", Location("dtk.yaml", number, 1)) for number in range(1, 24)]
    shown = fitting(problem_annotations(problems), "mistakes")
    assert len(shown) == MOST_ANNOTATIONS == 10
    assert [one.message for one in shown[8:]] == ["mistake 9", "mistake 10\n… and 13 more mistakes; see the log"]
    assert fitting(problem_annotations(problems[:10]), "mistakes")[-1].message == "mistake 10"


def test_a_message_s_line_breaks_and_signs_stay_in_its_annotation() -> None:
    line = github.annotation_line(Annotation("100 %\n::add-mask::x", "a,b:c", is_warning=True))
    assert line == "::warning title=a%2Cb%3Ac::100 %25%0A::add-mask::x\n"


@pytest.mark.parametrize("hostile", ["::stop-commands::x", "  ::add-mask::a", "a\n\t::error::b", "text ##[error]no"])
def test_output_never_acts_as_a_command(hostile: str) -> None:
    shown = github.without_commands(hostile)
    assert not any(line.lstrip().startswith("::") for line in shown.split("\n"))
    assert "##[" not in shown
    assert shown.replace("\u2060", "") == hostile


def test_mistakes_and_warnings_are_a_code_quality_report() -> None:
    found = [
        *problem_annotations([Problem("no such attribute", Location("services/a.yaml", 3, 5), expected="port")]),
        *problem_annotations([Problem("unused", Location("dtk.yaml", 1, 1))], is_warning=True),
        Annotation("without a place"),
    ]
    report = json.loads(gitlab.code_quality_text(found))
    assert [(one["severity"], one["location"]) for one in report] == [
        ("major", {"path": "services/a.yaml", "lines": {"begin": 3}}),
        ("minor", {"path": "dtk.yaml", "lines": {"begin": 1}}),
    ]
    assert report[0]["description"] == "no such attribute; expected port"
    assert len({one["fingerprint"] for one in report}) == 2


def test_the_summary_of_a_task_has_its_stages_and_what_failed(tmp_path: Path) -> None:
    page = task_markdown(fold(failed(tmp_path / "events.jsonl").events))
    assert page.startswith("### `ring1`, task 1: failed after 45s\n")
    assert "| 3 | members | failed | 2 of 3 | 15s |" in page
    assert "<summary>slaves:1: 3.1.1 configure_node</summary>" in page
    assert "bind: address in use" in page
    assert "To resume: `dtk apply ring1 --resume`" in page


def test_a_plan_of_any_size_fits_the_characters_it_may_have() -> None:
    plan = from_text((PLANS / "scale-down" / "plan.json").read_text(), "scale-down")
    many = tuple(replace(one, component=f"web::c{i}", change="new") for i in range(400) for one in plan.components[:1])
    plan = replace(plan, components=(*plan.components, *many))
    whole = plan_markdown(plan)
    sizes = [len(plan_markdown(plan, size)) <= size for size in (len(whole), 20_000, 5_000, 1_000, 400, 60, 5)]
    assert all(sizes)
    assert plan_markdown(plan, len(whole)) == whole
    names_only = plan_markdown(plan, len(whole) - 1)
    assert "2 terminate_nodes_stage (2 steps)" in names_only
    assert "nodegroup actions" not in names_only
    short = plan_markdown(plan, 1_000)
    assert "| `-` | terminate | servers:\\[3-4\\] |" in short, "what is deleted stays longest"
    assert "more changes" in short


class Clock:
    """A clock that a test advances."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def told(steps: RunningSteps, recorder: Recorder) -> Iterable[str]:
    return [line for event in recorder.events for line in steps.lines(event)]


def test_each_step_that_ends_is_a_line(tmp_path: Path) -> None:
    lines = list(told(RunningSteps(lambda: NOW), failed(tmp_path / "events.jsonl")))
    assert lines[0] == "n: create_node succeeded in 12.0s\n"
    assert lines[-1].startswith("n: configure_node failed")


def test_what_runs_long_is_told_each_minute_with_its_last_line(tmp_path: Path) -> None:
    clock = Clock(datetime(2015, 11, 26, 10, 0, 58, tzinfo=UTC))
    steps = RunningSteps(clock)
    told(steps, running(tmp_path / "events.jsonl"))
    assert list(steps.lines(None)) == []
    clock.later(45)
    said = list(steps.lines(None))
    assert said == ["still running: n (1 min), fetching 34 of 80\n", "still running: n (1 min)\n"]
    clock.later(59)
    assert list(steps.lines(None)) == []
    clock.later(1)
    assert next(iter(steps.lines(None))) == "still running: n (2 min), fetching 34 of 80\n"
    assert steps.status_line() == "n configure_node 2m 13s (and 1 more)  fetching 34 of 80"


def test_of_many_running_steps_a_few_are_named(tmp_path: Path) -> None:
    clock = Clock(NOW + timedelta(minutes=5))
    steps = RunningSteps(clock)
    told(steps, large(tmp_path / "events.jsonl"))
    said = list(steps.lines(None))
    assert (len(said), said[-1]) == (6, "still running: 15 more\n")


def test_nothing_is_still_running_once_all_has_ended(tmp_path: Path) -> None:
    clock = Clock(NOW)
    steps = RunningSteps(clock)
    recorder = begin(tmp_path / "events.jsonl", ring_plan(1), 1).finished("3.1.1")
    told(steps, recorder)
    clock.later(600)
    assert list(steps.lines(None)) == []
    assert steps.status_line() == ""
