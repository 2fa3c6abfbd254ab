"""The report page: a whole task in one file that loads nothing and runs nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from dtk.events.fold import fold
from dtk.events.tree import Task
from dtk.views.picture import Arrow
from dtk.views.report.page import report_page
from dtk.views.report.steps import LONGEST_OUTPUT
from tests.support.recorded_tasks import NOW, RECORDINGS, begin, failed, large, resumed, ring_plan, scaled
from tests.support.recorder import Recorder, group, stage, step

VOID = {"meta", "link", "br", "hr", "img"}


class Elements(HTMLParser):
    """A parser that collects every element with its attributes and fails on one that is not closed correctly."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((name, dict(attributes)))
        if name not in VOID:
            self._open.append(name)

    def handle_endtag(self, name: str) -> None:
        assert self._open.pop() == name


def task_of(name: str, folder: Path) -> Task:
    return fold(RECORDINGS[name](folder / "events.jsonl").events)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_page_is_whole_and_loads_and_runs_nothing(name: str, tmp_path: Path) -> None:
    page = report_page(task_of(name, tmp_path), NOW)
    elements = Elements(page).found
    assert not {tag for tag, _ in elements} & {"script", "link", "img", "iframe", "object", "embed"}
    named = [(tag, key) for tag, attributes in elements for key in attributes]
    assert not [key for _, key in named if key.startswith("on") or key in {"src", "srcset"}]
    assert all(attributes["href"].startswith("#") for _, attributes in elements if "href" in attributes)  # type: ignore[union-attr]
    assert set(re.findall(r"https?://[^\"' )]+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in page.replace("url(#tip)", "")
    assert "default-src &#x27;none&#x27;" in page


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_link_leads_to_a_place_in_the_page_and_places_are_unique(name: str, tmp_path: Path) -> None:
    elements = Elements(report_page(task_of(name, tmp_path), NOW)).found
    places = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(places) == len(set(places))
    assert {attributes["href"] for tag, attributes in elements if tag == "a"} <= {f"#{place}" for place in places}


def test_errors_come_first_then_time_then_topology_then_steps(tmp_path: Path) -> None:
    task = task_of("failed", tmp_path)
    page = report_page(task, NOW, before=task)
    order = [page.index(f'id="{part}"') for part in ("errors", "timeline", "topology", "comparison", "steps")]
    assert order == sorted(order)
    errors = page[order[0] : order[1]]
    for text in ("3.1.1", "slaves:1", "exit code 7", "join hub --port 7400", "bind: address in use",
                 "dtk apply ring1 --resume"):  # fmt: skip
        assert text in errors


def test_output_of_nodes_stays_text(tmp_path: Path) -> None:
    evil = '</pre><script>alert(1)</script><a href="http://x">\x1b[31mred\x1b[0m\x00 "&amp;'
    recorder = begin(tmp_path / "events.jsonl", ring_plan()).ran("3.1.1", evil, evil, 1, stderr=evil)
    recorder.finished("3.1.1", "failed", error={"message": evil, "command": evil, "output": evil}).end("failed")
    page = report_page(fold(recorder.events), NOW)
    assert {tag for tag, _ in Elements(page).found} & {"script"} == set()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\x1b" not in page
    assert "\x00" not in page


def test_of_an_endless_output_the_end_is_kept_and_the_rest_counted(tmp_path: Path) -> None:
    recorder = begin(tmp_path / "events.jsonl", ring_plan())
    recorder.ran("3.1.1", "join", "x" * 9000 + "the end").finished("3.1.1")
    page = report_page(fold(recorder.events), NOW)
    assert f"{9007 - LONGEST_OUTPUT} characters left out" in page
    assert "xxx" + "the end" in page
    assert "x" * LONGEST_OUTPUT not in page


def test_bars_are_as_wide_as_what_they_stand_for_lasted(tmp_path: Path) -> None:
    page = report_page(task_of("failed", tmp_path), NOW)
    bars = {
        attributes["title"].partition(":")[0]: attributes["style"]  # type: ignore[union-attr]
        for tag, attributes in Elements(page).found
        if tag == "a" and "bar" in (attributes.get("class") or "")
    }
    assert bars["1 create_nodes_stage"] == "left:0.000%;width:48.780%"
    assert bars["2 hub"] == "left:48.780%;width:17.738%"


def test_the_critical_path_is_marked_in_the_timeline_and_listed(tmp_path: Path) -> None:
    page = report_page(task_of("failed", tmp_path), NOW)
    marked = {
        (attributes.get("title") or "").partition(" ")[0]
        for tag, attributes in Elements(page).found
        if tag == "a" and "critical" in (attributes.get("class") or "").split()
    }
    assert {"1.4", "2.1", "3.1.1"} <= marked
    assert not marked & {"1.1", "1.2", "1.3", "3.1.2", "3.1.3"}
    assert "41.3s</b>" in page or "41.3s in 3 steps" in page


def test_of_300_nodes_those_that_failed_are_shown_and_the_others_folded(tmp_path: Path) -> None:
    page = report_page(task_of("large", tmp_path), NOW)
    steps = page[page.index('id="steps"') :]
    assert "<summary>277 succeeded</summary>" in steps
    assert steps.index('id="step-3.1.194"') < steps.index("<summary>277 succeeded</summary>")
    assert len(page) < 2_000_000


def test_nodes_that_failed_alike_are_one_error_and_what_failed_otherwise_is_another(tmp_path: Path) -> None:
    recorder = begin(tmp_path / "events.jsonl", ring_plan(40), 40)
    for member in range(1, 41):
        message = "disk full" if member == 40 else "no route to the hub"
        recorder.finished(f"3.1.{member}", "failed", error={"message": message, "type": "USER"})
    page = report_page(fold(recorder.events), NOW)
    errors = page[page.index('id="errors"') : page.index('id="timeline"')]
    assert "Errors (40)" in errors
    assert errors.count("no route to the hub") == 1
    assert "disk full" in errors
    assert "</a> on 39 nodes" in errors
    assert "<summary>19 more</summary>" in errors
    assert all(f'href="#step-3.1.{member}"' in errors for member in range(1, 41))


def test_a_comparison_tells_what_is_new_gone_slower_and_turned(tmp_path: Path) -> None:
    before, now = fold(failed(tmp_path / "1").events), fold(scaled(tmp_path / "2").events)
    page = report_page(now, NOW, before=before)
    compared = page[page.index('id="comparison"') : page.index('id="steps"')]
    for text in ("only in this task", "not in this task", "took 45.1s; this one took 26.0s (-19.1s, -42%)",
                 "<li>slaves:4</li>", "<li>slaves:[1-3]</li>"):  # fmt: skip
        assert text in compared
    many = fold(large(tmp_path / "3").events)
    assert "3.1.1 configure_node slaves:1: failed, now succeeded" in report_page(many, NOW, before=before)


def test_a_node_counts_once_and_is_new_only_where_the_task_makes_it(tmp_path: Path) -> None:
    before = fold(resumed(tmp_path / "1").events)
    plan = [
        stage("1", "create_node", step("1", "create_node", "slaves:3")),
        stage("2", "values", step("2.1", "configure_node", "assembly_wide", "ring::values")),
        stage("3", "members", group("3.1", "slaves", "ring::member", size=3)),
    ]
    recorder = Recorder(tmp_path / "2").at("10:00:00.0").plan(plan).start()
    page = report_page(fold(recorder.at("10:00:10.2").end().events), NOW, before=before)
    assert "<dt>Nodes</dt><dd>3</dd>" in page
    assert "<h3>New nodes</h3><ul><li>slaves:3</li></ul>" in page
    assert "<h3>Nodes that were not in the previous task</h3><ul><li>slaves:2</li></ul>" in page
    assert "<h3>Nodes that are not in this task</h3><ul><li>master</li></ul>" in page


def test_a_duration_is_compared_in_words(tmp_path: Path) -> None:
    task = task_of("failed", tmp_path)
    for seconds, words in ((45.09, "as long as task 1"), (44.0, "1.1s longer than task 1"), (60, "14.9s shorter than")):
        before = replace(task, seconds=float(seconds), ended_at=NOW)
        assert f"<dd>45.1s</dd><small>{words}" in report_page(replace(task, seconds=45.1), NOW, before=before)


def test_the_topology_shows_members_and_who_uses_whom(tmp_path: Path) -> None:
    arrows = [Arrow(("slaves", "ring::member"), ("master", "ring::hub")), Arrow(("x", "y"), ("master", "ring::hub"))]
    page = report_page(task_of("failed", tmp_path), NOW, arrows=arrows)
    assert "<title>slaves:1 failed</title>" in page
    assert "slaves/ring::member uses master/ring::hub" in page
    assert "x/y" not in page


def test_a_task_that_has_not_begun_and_an_empty_log_have_a_page(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "events.jsonl").plan([stage("1", "a", step("1.1", "action", "m"))])
    assert "not started" in report_page(fold(recorder.events), NOW)
    Elements(report_page(fold([], notes=["line 1: torn"]), NOW))
    assert "The log: line 1: torn" in report_page(fold([], notes=["line 1: torn"]), NOW)
