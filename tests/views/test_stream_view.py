"""The stream, identical to the original's, character for character, whether shown live or afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dtk.events.event import Event
from dtk.events.fold import Fold
from dtk.views.stream import stream
from tests.support.recorder import Recorder, group, record_spark, stage, step

DATA = Path(__file__).parent / "data"
DATASET = "gitarchive[mar01]"


def printed(recorder: Recorder) -> str:
    return "".join(stream(recorder.events))


def record_dataset(path: Path, exit_code: int, status: str) -> Recorder:
    """Record the original's dataset scenario, whose command ends with a line break."""
    plan = [
        stage("1", "set 'mar01' dataset info", step("1.1", "configure_node", "master", DATASET)),
        stage("2", "load gitarchive 'mar01'", step("2.1", "action", "master", actions=[f"{DATASET}.load"])),
    ]
    recorder = Recorder(path).at("16:55:03.9").plan(plan, task_type="load_gitarchive_dataset").start()
    recorder.stage("1", "16:55:04.0", "16:55:06.6", steps=[("1.1", "16:55:04.0", "16:55:06.5")])
    recorder.at("16:55:07.0").event("stage.started", stage="2").started("2.1")
    recorder.at("16:55:09.0").ran("2.1", "load mar01\n", "Loaded 24 files\n", exit_code)
    error = {"message": "the command failed", "command": "load mar01", "exit_code": exit_code, "type": "USER"}
    recorder.finished("2.1", status, **({"error": error} if exit_code else {}))
    recorder.event("stage.finished", stage="2", status=status, seconds=2.0)
    return recorder.at("16:55:09.1").end(status, next_command="dtk apply s --resume" if exit_code else "")


def record_spark_further(path: Path) -> Recorder:
    """Record the original's example as its documentation streams it: up to the smoke test of stage 7."""
    recorder = record_spark(path)
    recorder.at("17:19:26.5").finished("5.1")
    recorder.at("17:19:26.7").event("stage.finished", stage="5", status="succeeded", seconds=45.5)
    recorder.at("17:19:27.0").event("stage.started", stage="6").started("6.1")
    recorder.ran("6.1", "su hdfs -c 'hdfs dfsadmin -safemode leave'", "Safe mode is OFF\n")
    recorder.at("17:19:30.4").finished("6.1")
    recorder.at("17:19:30.5").event("stage.finished", stage="6", status="succeeded", seconds=3.5)
    recorder.at("17:19:30.6").event("stage.started", stage="7").started("7.1")
    recorder.ran("7.1", 'echo "namenode port=8020"', "namenode port=8020\n")
    recorder.ran("7.1", "netstat -nltp | grep 8020", "tcp        0      0 10.90.0.238:8020\n", stderr="a warning\n")
    recorder.at("17:19:32.7").finished("7.1")
    return recorder.at("17:19:32.8").event("stage.finished", stage="7", status="succeeded", seconds=2.2)


def test_the_originals_stream_is_reproduced_to_the_character(tmp_path: Path) -> None:
    recorder = record_spark_further(tmp_path / "events.jsonl")
    assert printed(recorder).startswith((DATA / "spark-cluster1-stream.txt").read_text() + "=========================")


def test_a_task_that_succeeded_ends_with_status_ok(tmp_path: Path) -> None:
    text = printed(record_dataset(tmp_path / "events.jsonl", 0, "succeeded"))
    assert text == (DATA / "dataset-stream.txt").read_text()


def test_a_task_that_failed_shows_its_results_and_does_not_say_ok(tmp_path: Path) -> None:
    text = printed(record_dataset(tmp_path / "events.jsonl", 1, "failed"))
    assert text.endswith(
        "STATUS: failed\nDURATION: 2.0s\nRESULTS:\n\nNODE: master\nRUN: load mar01\n (syscall)\nRETURN CODE: 1\n"
        "STDOUT:\n  Loaded 24 files\n\n------------------------------------------------------------\n\n"
        "========================= end: 'load_gitarchive_dataset' (total duration: 5.2s) =========================\n"
        "To resume: dtk apply s --resume\nStatus: FAILED\n"
    )


@pytest.fixture
def workers(tmp_path: Path) -> Recorder:
    plan = [stage("1", "workers", group("1.1", "slaves", "d::worker")), stage("2", "never", step("2.1", "action", "m"))]
    recorder = Recorder(tmp_path / "events.jsonl").at("10:00:00.0").plan(plan).start()
    recorder.event("stage.started", stage="1").started("1.1.1", "1.1.2")
    return recorder


def test_a_stage_that_failed_is_the_last_one_and_names_the_failed_member(workers: Recorder) -> None:
    error = {"message": "taken", "type": "USER", "component": "d::worker", "command": "start", "exit_code": 1,
             "output": "in use\n\nbye"}  # fmt: skip
    workers.at("10:00:02.0").finished("1.1.1").finished("1.1.2", "failed", error=error)
    workers.event("stage.finished", stage="1", status="failed", seconds=2.0).end("failed")
    assert printed(workers).split("COMPONENT: ")[1] == (
        "node-group:slaves/d::worker\nSTATUS: failed\nDURATION: 2.0s\nERRORS:\nNODE: slaves:2\n"
        "  Component d::worker: taken\n    RUN: start\n    RETURN CODE: 1\n    OUTPUT:\n      in use\n\n"
        "      bye\n\n------------------------------------------------------------\n\n"
        "========================= end: 'assembly_converge' (total duration: 2.0s) =========================\n"
        "Status: FAILED\n"
    )


def test_a_cancelled_task_says_cancelled(workers: Recorder) -> None:
    workers.at("10:00:01.0").end("cancelled")
    assert printed(workers).endswith("STATUS: cancelled\nDURATION: 1.0s\n" + "-" * 60 + "\n\n" + "=" * 25 + (
        " end: 'assembly_converge' (total duration: 1.0s) " + "=" * 25 + "\nStatus: CANCELLED\n"
    ))  # fmt: skip


def test_a_lost_worker_ends_the_stream_as_failed_with_what_is_in_doubt(workers: Recorder) -> None:
    text = printed(workers)
    assert text.count("the worker has ended: it is unknown whether this step completed") == 2
    assert text.endswith("To resume: dtk apply spark-cluster1 --resume\nStatus: FAILED\n")


def test_actions_of_a_group_show_the_results_of_each_member(tmp_path: Path) -> None:
    plan = [stage("1", "start", group("1.1", "workers", actions=["ignite.start"]))]
    recorder = Recorder(tmp_path / "events.jsonl").at("10:00:00.0").plan(plan).start().started("1.1.1", "1.1.2")
    recorder.ran("1.1.2", "files/a -> /b", kind="add").ran("1.1.1", "run", exit_code=0)
    recorder.ran("1.1.1", "guarded", skipped=True).finished("1.1.1").finished("1.1.2").end()
    text = printed(recorder)
    assert "ACTION: node-group:workers/ignite.start\n" in text
    assert text.split("RESULTS:\n\n")[1].split("-----")[0] == (
        "NODE: workers:1\nRUN: run (syscall)\nRETURN CODE: 0\n--\nRUN: guarded (syscall) (skipped)\n\n"
        "NODE: workers:2\nADD: files/a -> /b\nRETURN CODE: 0\n\n"
    )


def test_each_stage_is_told_as_soon_as_it_begins_and_ends(tmp_path: Path) -> None:
    recorder = record_dataset(tmp_path / "events.jsonl", 0, "succeeded")
    heard: list[str] = []

    def live() -> Iterator[Event | None]:
        for event in recorder.events:
            yield None
            heard.append(f"<{event['type']}>")
            yield event

    for text in stream(live()):
        heard.append(text.split("\n")[0][:6])
    expected = [word for word in heard if not word.startswith(("<step.", "<operation"))]
    assert expected == [
        "<task.planned>", "<task.started>", "======", "<stage.started>", "======", "<stage.finished>", "STATUS",
        "<stage.started>", "======", "<stage.finished>", "STATUS", "<task.finished>", "======",
    ]  # fmt: skip


@pytest.mark.parametrize(("members", "size", "named"), [
    ((1, 2), 0, "node-group:slaves"), ((1, 2), 2, "node-group:slaves"), ((1, 2), 4, "slaves:[1-2]"),
    ((1, 3), 4, "slaves:[1,3]"), ((2,), 0, "slaves:2"), ((2,), 3, "slaves:2"),
])  # fmt: skip
def test_of_a_group_only_those_that_take_part_are_named(
    members: tuple[int, ...], size: int, named: str, tmp_path: Path
) -> None:
    steps = [step(f"1.1.{n}", "configure_node", f"slaves:{n}", "d::worker") for n in members]
    planned = {**group("1.1", "slaves", "d::worker"), "steps": steps, "group_size": size}
    recorder = Recorder(tmp_path / "events.jsonl").plan([stage("1", "workers", planned)]).start()
    assert f"COMPONENT: {named}/d::worker\n" in printed(recorder.event("stage.started", stage="1"))


def test_a_task_that_never_started_has_no_time(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "events.jsonl").plan([stage("1", "a", step("1.1", "action", "m"))])
    assert printed(recorder).startswith(
        "========================= start 'assembly_converge' =========================\n\n\n"
    )


def test_a_log_without_a_plan_is_called_a_workflow() -> None:
    assert "".join(stream([])).startswith("========================= start 'Workflow' ====")


def test_live_output_stands_in_its_stage_with_its_node_and_says_what_is_left_out(workers: Recorder) -> None:
    workers.event("step.output", step="1.1.1", node="slaves:1", stream="stdout", lines=["one", "\x1b[31mtwo"])
    workers.event("step.output", step="1.1.2", node="slaves:2", stream="stderr", lines=["no"], truncated=40)
    workers.at("10:00:02.0").finished("1.1.1").finished("1.1.2")
    workers.event("stage.finished", stage="1", status="succeeded", seconds=2.0).end()
    text = "".join(stream(workers.events, output=True))
    assert text.split("COMPONENT: node-group:slaves/d::worker\n")[1].split("STATUS")[0] == (
        "slaves:1 | one\nslaves:1 | two\nslaves:2 ! no\nslaves:2 ! ... 40 lines left out\n"
    )
    assert "slaves:1 | one" not in printed(workers)


def test_a_log_with_something_wrong_says_so_at_the_streams_end(workers: Recorder) -> None:
    folding = Fold()
    folding.note("line 3: not JSON; skipped")
    assert "INFO: log: line 3: not JSON; skipped\n" in "".join(stream(workers.events, fold=folding))
