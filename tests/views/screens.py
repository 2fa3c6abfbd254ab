"""The screens of recorded tasks in data/screens; `python -m tests.views.screens` rewrites them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from dtk.events.expected_times import learn
from dtk.events.fold import fold
from dtk.views.live_frame import frame
from dtk.views.snapshot_table import render_snapshot
from dtk.views.stream import stream
from tests.support.recorded_tasks import NOW, RECORDINGS, failed

FOLDER = Path(__file__).parent / "data" / "screens"
MANY_ROWS = 50
"""For tasks with at least this many rows, only the screens that fold rows are recorded."""


def screens(name: str) -> str:
    """Return every screen of one recording, each below the command that shows it."""
    return "\n".join(f"$ {command}\n{text}" for command, text in _screens(name))


def _screens(name: str) -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        events = RECORDINGS[name](Path(folder) / "events.jsonl").events
        expectation = learn([fold(failed(Path(folder) / "before.jsonl").events, writer_alive=False)])
    task = fold(events)
    if len(list(task.rows())) < MANY_ROWS:
        yield "dtk task-status --eta", render_snapshot(task, expectation=expectation, now=NOW)
    if task.is_over:
        yield "dtk task-status -m stream --output", "".join(stream(events, output=True))
    yield "dtk task-status --summarize", render_snapshot(task, summarize=True)
    for columns, lines in ((80, 24), (120, 12), (40, 7)):
        drawn = "".join(f"{line.text}\n" for line in frame(task, NOW, columns, lines, expectation))
        yield f"dtk task-status --wait  # {columns} by {lines}", drawn


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for recording in RECORDINGS:
        (FOLDER / f"{recording}.txt").write_text(screens(recording))
