"""Tests of command output: read in whole lines, any bytes allowed, size limited."""

from __future__ import annotations

from dtk.apply.reporting.reporter import HEARTBEAT_SECONDS
from dtk.ssh.output import KEPT_OUTPUT, LONGEST_LINE, LineSplitter, OutputGate, Stream, Tail
from tests.apply.lab import Lab, action, run, stage


def test_two_hundred_thousand_lines_stay_a_small_log(lab: Lab) -> None:
    lab.add_node("master")
    flood = run("i=0; seq 1 200000; echo the end; exit 5")
    result = lab.apply(stage(1, action("master", "m::c", flood)))
    shown = sum(len(event["lines"]) for event in result.of("step.output"))
    left_out = sum(event.get("truncated", 0) for event in result.of("step.output"))
    assert shown + left_out == 200_001
    assert (result.folder / "events.jsonl").stat().st_size < 1_000_000
    (done,) = result.of("operation.finished")
    assert done["stdout"].endswith("200000\nthe end")
    assert "earlier lines left out" in done["stdout"].splitlines()[0]
    assert result.step("1.1")["error"]["output"].splitlines()[-2:] == ["200000", "the end"]


def test_bytes_that_are_no_text_are_replaced(lab: Lab) -> None:
    lab.add_node("master")
    result = lab.apply(stage(1, action("master", "m::c", run(r"printf 'a\377b\nc'"))))
    (done,) = result.of("operation.finished")
    assert done["stdout"] == "a\ufffdb\nc"


def test_a_quiet_step_gives_signs_of_life() -> None:
    assert HEARTBEAT_SECONDS <= 10


def test_a_progress_bar_is_told_while_it_is_drawn(lab: Lab) -> None:
    server = lab.add_node("master")
    bar = "printf '1 of 80 MB\\r2 of 80 MB\\r3 of' >&2; while [ ! -e seen ]; do sleep 0.1; done"
    started = lab.start(stage(1, action("master", "m::c", run(bar))))
    # No line of this output has ended yet. The log still shows the latest progress to its readers.
    lab.wait_for(started, "step.heartbeat", last_line="2 of 80 MB")
    (server.home / "seen").touch()
    assert lab.result(started).exit_code == 0


def test_what_is_drawn_over_is_no_line_until_it_ends() -> None:
    lines: list[str] = []
    looks: list[str] = []
    splitter = LineSplitter(lines.append, redrawn=looks.append)
    for chunk in (b"Get:1\n10", b" %\r", b"20 %\r30", b" %\r\r", b"done\n", b"\r \r", b"end"):
        splitter.feed(chunk)
    splitter.end()
    assert lines == ["Get:1", "10 %\r20 %\r30 %\r\rdone", "\r \rend"]
    assert looks == ["10 %", "20 %", "30 %"]


def test_lines_survive_any_cut_of_the_bytes() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    for byte in "grün\r\n\nlast".encode():
        splitter.feed(bytes([byte]))
    splitter.end()
    assert lines == ["grün", "", "last"]


def test_an_endless_line_is_cut() -> None:
    lines: list[str] = []
    splitter = LineSplitter(lines.append)
    for _ in range(10):
        splitter.feed(b"x" * LONGEST_LINE)
    splitter.end()
    assert max(map(len, lines)) <= LONGEST_LINE
    assert sum(map(len, lines)) == 10 * LONGEST_LINE


def test_a_tail_says_what_it_left_out() -> None:
    tail = Tail(10)
    for line in ("one", "two", "three", "four"):
        tail.add(line)
    assert tail.text() == "[3 earlier lines left out]\nfour"
    assert Tail().text() == ""
    assert KEPT_OUTPUT == 64 * 1024


def test_the_gate_keeps_the_order_of_the_streams() -> None:
    written: list[tuple[Stream, list[str], int]] = []
    gate = OutputGate(lambda stream, lines, left_out: written.append((stream, lines, left_out)))
    gate.add("stdout", "1")
    gate.add("stdout", "2")
    gate.add("stderr", "3")
    gate.add("stdout", "4")
    gate.flush()
    assert written == [("stdout", ["1", "2"], 0), ("stderr", ["3"], 0), ("stdout", ["4"], 0)]
