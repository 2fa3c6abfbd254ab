"""The recorded screens of tasks: running, failed, cancelled, resumed, scaled, and with 300 nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtk.events.fold import fold
from dtk.views.formatting import width
from dtk.views.live_frame import frame
from dtk.views.snapshot_table import render_snapshot
from dtk.views.stream import stream
from tests.support.recorded_tasks import NOW, RECORDINGS
from tests.views.screens import FOLDER, screens


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_screens_of_a_recorded_task_are_as_agreed(name: str) -> None:
    assert screens(name) == (FOLDER / f"{name}.txt").read_text(), "when this is meant: python -m tests.views.screens"


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_screen_needs_nothing_but_ascii_and_80_columns(name: str, tmp_path: Path) -> None:
    events = RECORDINGS[name](tmp_path / "events.jsonl").events
    task = fold(events)
    texts = [render_snapshot(task), render_snapshot(task, summarize=True), "".join(stream(events))]
    live = [line.text for line in frame(task, NOW, 80, 24)]
    assert all(text.isascii() for text in (*texts, *live))
    assert max(map(width, live)) <= 80
    narrow = render_snapshot(task, columns=80)
    assert all(width(line) <= 80 for line in narrow.splitlines() if line.startswith(("+", "|")))
    assert "| DURATION |" in narrow


@pytest.mark.parametrize("name", RECORDINGS)
def test_colours_add_nothing_that_the_words_do_not_say(name: str, tmp_path: Path) -> None:
    task = fold(RECORDINGS[name](tmp_path / "events.jsonl").events)
    plain, colored = render_snapshot(task), render_snapshot(task, color=True)
    assert "\x1b" not in plain
    assert "\x1b[3" in colored
    for code in ("31", "32", "33", "36", "0"):
        colored = colored.replace(f"\x1b[{code}m", "")
    assert colored == plain
