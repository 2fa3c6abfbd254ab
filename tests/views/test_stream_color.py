"""The stream and errors in colour: colour has a meaning, output of nodes has none, and the text stays the same."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from dtk.cli.output import use_color
from dtk.views.ci.forge import ForgeText
from dtk.views.formatting import GREEN, RED, YELLOW
from dtk.views.stream import stream
from dtk.views.stream_color import lines_in_color, message_in_color, stream_in_color
from tests.support.recorded_tasks import RECORDINGS, begin, ring_plan

OFF = "\x1b[0m"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("name", RECORDINGS)
def test_without_its_colours_the_stream_is_the_same_to_the_character(name: str, tmp_path: Path) -> None:
    plain = "".join(stream(RECORDINGS[name](tmp_path / "events.jsonl").events))
    colored = "".join(stream_in_color([plain]))
    assert colored != plain
    assert re.sub("\x1b\\[[0-9]+m", "", colored) == plain


def test_each_status_and_what_went_wrong_has_its_colour(tmp_path: Path) -> None:
    text = lines_in_color("".join(stream(RECORDINGS["failed"](tmp_path / "events.jsonl").events)))
    for line in (f"{GREEN}STATUS: succeeded{OFF}", f"{RED}STATUS: failed{OFF}", f"{RED}ERRORS:{OFF}",
                 f"{YELLOW}To resume: dtk apply ring1 --resume{OFF}", f"{RED}Status: FAILED{OFF}"):  # fmt: skip
        assert f"{line}\n" in text
    assert lines_in_color("Status: OK") == f"{GREEN}Status: OK{OFF}"
    assert lines_in_color("webs:1: create_node succeeded in 0.5s").startswith(GREEN)
    assert lines_in_color("webs:1: action failed in 0.5s: no").startswith(RED)
    assert lines_in_color("RETURN CODE: 0") == "RETURN CODE: 0"
    assert lines_in_color("RETURN CODE: 7").startswith(RED)


def test_what_nodes_print_has_no_colour_and_what_a_forge_reads_none_either(tmp_path: Path) -> None:
    recorder = begin(tmp_path / "events.jsonl", ring_plan())
    said = "STATUS: failed\nStatus: OK\nERRORS:"
    recorder.event("step.output", step="3.1.1", node="slaves:1", stream="stdout", lines=said.split("\n"))
    lines = [line for line in "".join(stream(recorder.events, output=True)).split("\n") if " | " in line]
    assert len(lines) == 3
    assert lines_in_color("\n".join(lines)) == "\n".join(lines)
    assert list(stream_in_color([ForgeText("ERRORS:")])) == ["ERRORS:"]


def test_an_error_has_its_first_words_in_colour() -> None:
    assert message_in_color("error: no\nnext: dtk ls") == f"{RED}error:{OFF} no\n{YELLOW}next:{OFF} dtk ls"


def test_only_a_terminal_gets_colours_and_only_when_nobody_said_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert use_color(Terminal())
    assert not use_color(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not use_color(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not use_color(Terminal())
