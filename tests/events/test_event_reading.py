"""Tests of the log reader: it reads any file, complete or growing, and notes problems by line."""

from __future__ import annotations

import json
import shutil
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from dtk.events.event import Event
from dtk.events.fold import fold, fold_log
from dtk.events.log_reader import follow, read_log
from dtk.views.snapshot_table import render_snapshot
from tests.support.recorder import Recorder, record_spark


def line(seq: int, kind: str = "step.output", **fields: object) -> bytes:
    event = {"v": 1, "seq": seq, "ts": "2015-11-26T17:16:55.123456Z", "type": kind, "message": "", **fields}
    return json.dumps(event).encode() + b"\n"


@pytest.mark.parametrize(
    ("content", "count", "note"),
    [
        (line(1) + b'{"v":1,"se', 1, "line 2: torn: the writer stopped in the middle of it; skipped"),
        (line(1) + b"rubbish\n" + line(2), 2, "line 2: not JSON; skipped"),
        (line(1) + b"\xff\xfe\n" + line(2), 2, "line 2: not JSON; skipped"),
        (line(1) + line(2).rstrip() + b"x\n" + line(2), 2, "line 2: not JSON; skipped"),
        (line(1) + line(2).rstrip() + line(3), 1, "line 2: not JSON; skipped"),
        (line(1) + b"[1]\n" + line(2), 2, "line 2: not an event; skipped"),
        (line(1) + line(2).replace(b"2015", b"once"), 1, "line 2: an event without a time; skipped"),
        (line(1) + line(2).replace(b'"seq"', b'"sea"'), 1, "line 2: an event without a sequence number; skipped"),
        (line(1) + line(4), 2, "line 2: a gap: event 2 expected, event 4 found"),
        (line(2), 1, "line 1: a gap: event 1 expected, event 2 found"),
        (line(1) + line(1), 2, "line 2: out of order: event 2 expected, event 1 found"),
        (line(1, "step.danced"), 1, "line 1: event type 'step.danced' is not known to this dtk; ignored"),
        (line(1, v=2), 1, "line 1: event version 2 is not known to this dtk (1)"),
    ],
)
def test_what_is_wrong_is_noted_with_its_line(tmp_path: Path, content: bytes, count: int, note: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(content)
    reading = read_log(path)
    assert reading.notes == (note,)
    assert len(reading.events) == count


def test_white_space_around_an_event_is_no_damage(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_bytes(b" " + line(1).rstrip() + b"\r\n" + line(2).rstrip() + b" \n")
    assert [event["seq"] for event in read_log(log).events] == [1, 2]
    assert read_log(log).notes == ()


def test_unknown_fields_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1, invented=[1]))
    assert read_log(path).events[0]["invented"] == [1]
    assert read_log(path).notes == ()


def test_a_file_of_rubbish_does_not_flood_the_notes(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"rubbish\n" * 1000)
    assert len(read_log(path).notes) == 51


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(cut=some.floats(0, 1), noise=some.binary(max_size=40), position=some.floats(0, 1))
def test_a_log_damaged_anywhere_is_shown_with_notes(tmp_path: Path, cut: float, noise: bytes, position: float) -> None:
    whole = record_spark(tmp_path / "whole.jsonl").path.read_bytes()
    (tmp_path / "whole.jsonl").unlink()
    content = whole[: int(len(whole) * cut)]
    place = int(len(content) * position)
    path = tmp_path / "damaged.jsonl"
    path.write_bytes(content[:place] + noise + content[place:])
    reading = read_log(path)
    for alive in (True, False):
        assert "in set" in render_snapshot(fold(reading.events, writer_alive=alive, notes=reading.notes))


class Rounds:
    """Simulates a log's writer: runs the next action each time a follower waits, and dies when no action is left."""

    def __init__(self, *actions: Callable[[], object]) -> None:
        self._actions: Iterator[Callable[[], object]] = iter(actions)
        self._over = False

    def alive(self) -> bool:
        return not self._over

    def wait(self, _seconds: float) -> None:
        action = next(self._actions, None)
        if action is None:
            self._over = True
        else:
            action()


def followed(path: Path, rounds: Rounds, notes: list[str] | None = None) -> list[Event]:
    note = (notes if notes is not None else []).append
    return [event for event in follow(path, is_alive=rounds.alive, wait=rounds.wait, note=note) if event]


def test_following_a_finished_log_replays_it_and_ends(tmp_path: Path) -> None:
    recorder = record_spark(tmp_path / "events.jsonl").end()
    events = list(follow(recorder.path, is_alive=lambda: True))
    assert events == list(recorder.events)


def test_a_log_that_appears_late_is_followed_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    half = line(2)[:20]
    rounds = Rounds(
        lambda: None,
        lambda: path.write_bytes(line(1) + half),
        lambda: path.write_bytes(line(1) + line(2)),
        lambda: path.write_bytes(line(1) + line(2) + line(3, "task.finished") + line(4)),
    )
    assert [event["seq"] for event in followed(path, rounds)] == [1, 2, 3]


def test_a_writer_that_dies_ends_the_following_with_a_note_on_the_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    notes: list[str] = []
    rounds = Rounds(lambda: path.write_bytes(line(1)), lambda: path.write_bytes(line(1) + line(2)[:9]))
    assert len(followed(path, rounds, notes)) == 1
    assert notes == ["line 2: torn: the writer stopped in the middle of it; skipped"]


def test_a_torn_line_that_the_next_writer_cuts_away_is_never_seen(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    notes: list[str] = []
    path.write_bytes(line(1) + b'{"v":1,"seq":2,"mess')
    rounds = Rounds(lambda: None, lambda: Recorder(path).at("17:00:00").end("failed"))
    assert [event["seq"] for event in followed(path, rounds, notes)] == [1, 2]
    assert notes == []


def test_a_log_deleted_while_it_is_followed_is_read_to_what_its_writer_wrote_last(tmp_path: Path) -> None:
    folder = tmp_path / "task"
    folder.mkdir()
    recorder = Recorder(folder / "events.jsonl").start()
    rounds = Rounds(lambda: shutil.rmtree(folder), recorder.end)
    assert [event["type"] for event in followed(recorder.path, rounds)] == ["task.started", "task.finished"]


def test_lines_larger_than_any_buffer_are_followed(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1, lines=["x" * 3_000_000]) + line(2))
    assert [event["seq"] for event in followed(path, Rounds())] == [1, 2]


def test_nothing_to_follow_and_nobody_to_write_is_an_end(tmp_path: Path) -> None:
    assert list(follow(tmp_path / "events.jsonl", is_alive=lambda: False)) == []


def test_folding_a_log_keeps_its_tree_and_not_its_events(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    stages = [{"number": "1", "name": "s", "steps": [{"number": "1.1", "type": "configure_node", "node": "n"}]}]
    outputs = (line(seq, step="1.1", lines=[f"{seq:0200d}"]) for seq in range(2, 40_000))
    path.write_bytes(line(1, "task.planned", stages=stages) + b"".join(outputs))
    tracemalloc.start()
    task = fold_log(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert next(task.leaves()).last_output == f"{39_999:0200d}"
    assert most < 4_000_000 < path.stat().st_size // 3


def test_a_silent_log_is_looked_at_often_and_its_writer_seldom(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(line(1))
    waited: list[float] = []
    asked: list[float] = []

    def is_alive() -> bool:
        asked.append(sum(waited))
        return len(asked) < 4

    assert [event for event in follow(path, is_alive=is_alive, wait=waited.append) if event] != []
    assert max(waited) <= 0.02
    assert len(asked) == 4
    assert len(waited) > 20
