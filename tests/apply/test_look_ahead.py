"""Tests of batched checks: operations are checked together, and each result equals that of a separate check."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from dtk.apply.session.look_ahead import answers_in, asking_all
from dtk.apply.session.node_session import CommandAnswer
from dtk.ssh.output import lines_of
from tests.apply.lab import Lab, Result, action, operation, run, stage, wait_until
from tests.support.waiting import eventually

COMMANDS = (
    "printf a",
    "echo a",
    "printf 'a\\n\\n'",
    "printf '\\n'",
    "true",
    "echo no >&2; exit 3",
    "cat; exit",
    "kill $$",
)


def line(path: Path, text: str, **more: Any) -> dict[str, Any]:
    return operation("files.line", {"path": str(path), "line": text}, **more)


def folder(path: Path, **more: Any) -> dict[str, Any]:
    return operation("files.directory", {"path": str(path), **more})


def changed(result: Result) -> list[bool]:
    assert result.exit_code == 0, result.events
    return [event["changed"] for event in result.of("operation.finished", kind="operation")]


def answered(script: str) -> CommandAnswer:
    ran = subprocess.run(["sh", "-c", 'eval "$(cat)"'], input=script.encode(), capture_output=True, check=False)
    return CommandAnswer(ran.returncode, tuple(lines_of(ran.stdout)), tuple(lines_of(ran.stderr)))


def test_commands_asked_together_answer_as_each_alone() -> None:
    commands = COMMANDS[:-1]
    script, divider = asking_all(commands)
    found = answers_in(answered(script), divider, commands)
    assert found == {command: answered(command) for command in commands}


def test_a_script_that_does_not_come_to_its_end_answers_nothing() -> None:
    script, divider = asking_all(COMMANDS)
    assert answers_in(answered(script), divider, COMMANDS) == {}


def test_what_a_command_or_a_guard_changes_between_operations_is_seen_by_the_next(lab: Lab) -> None:
    home = lab.add_node("n1").home
    first, second, third = (home / name for name in ("first", "second", "third"))
    steps = (line(first, "text"), line(second, "text"), line(third, "text", unless=f"rm -f {third}; false"))
    assert changed(lab.apply(stage(1, action("n1", "m::c", *steps)))) == [True, True, True]
    again = (steps[0], run(f"rm {second}"), *steps[1:])
    assert changed(lab.apply(stage(1, action("n1", "m::c", *again)))) == [False, True, True]
    assert [one.read_text() for one in (first, second, third)] == ["text\n"] * 3


def test_an_operation_sees_what_the_one_before_it_did_to_the_same_path(lab: Lab) -> None:
    home = lab.add_node("n1").home
    place, link = home / "place", home / "link"
    items = (folder(place), operation("files.link", {"path": str(link), "target": str(place)}), folder(link / "in"))
    # The batched check finds the last folder missing. Once the link exists, the folder is there too.
    (home / "place/in").mkdir(parents=True)
    assert changed(lab.apply(stage(1, action("n1", "m::c", *items)))) == [False, True, False]


def test_what_a_command_prints_is_its_own_though_queries_follow_it(lab: Lab) -> None:
    home = lab.add_node("n1").home
    shown = run("printf out; printf err >&2; cat")
    items = (line(home / "a", "text"), shown, line(home / "b", "text"), run("exit 3"), line(home / "c", "text"))
    result = lab.apply(stage(1, action("n1", "m::c", *items)))
    assert result.exit_code == 1
    first, failed = result.of("operation.finished", kind="run")
    assert (first["stdout"], first["stderr"], first["exit_code"]) == ("out", "err", 0)
    assert (failed["stdout"], failed["stderr"], failed["exit_code"]) == ("", "", 3)
    assert (home / "b").read_text() == "text\n"


def test_a_command_is_finished_though_the_connection_is_lost_while_a_query_follows_it(lab: Lab) -> None:
    server = lab.add_node("n1")
    # Whoever looks for a line in it waits until somebody writes.
    os.mkfifo(server.home / "pipe")
    items = (line(server.home / "a", "text"), run("echo $$ > ran"), line(server.home / "pipe", "text"))
    started = lab.start(stage(1, action("n1", "m::c", *items)))
    wait_until((server.home / "ran").exists)
    # A pipe can only be opened for writing once somebody reads: the command has ended, and the query runs.
    writer = eventually(lambda: opened(server.home / "pipe"), "the query reads the pipe")
    time.sleep(0.5)  # for the command's end to arrive
    server.drop_connections()
    result = lab.result(started)
    assert result.exit_code == 1
    (finished,) = result.of("operation.finished", kind="run")
    assert (finished["exit_code"], finished["changed"]) == (0, True)
    assert "connection to n1 was lost" in result.step("1.1")["error"]["message"]
    os.close(writer)


def opened(pipe: Path) -> int | None:
    """Return the descriptor of a pipe for writing, None if nobody reads it."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def test_the_time_of_a_command_with_a_limit_is_not_spent_on_queries(lab: Lab) -> None:
    server = lab.add_node("n1")
    counts = []
    for more in ({}, {"timeout": 60}):
        server.channels = 0
        items = (line(server.home / "a", "text"), run("true", **more), line(server.home / "b", "text"))
        assert lab.apply(stage(1, action("n1", "m::c", *items))).exit_code == 0
        counts.append(server.channels)
    # The file and its line, the command with the queries of the next file, its line; then nothing changes.
    assert counts == [4, 3]


@pytest.mark.parametrize("name", ["files.put", "files.template"])
def test_a_template_error_of_a_later_item_is_its_own(lab: Lab, name: str) -> None:
    home = lab.add_node("n1").home
    late = operation(name, {"src": "sent", "dest": {"$template": "{{ missing }}"}})
    result = lab.apply(stage(1, action("n1", "m::c", folder(home / "one"), late)))
    assert result.exit_code == 1
    assert (home / "one").is_dir()
    assert "missing" in str(result.of("step.finished"))
