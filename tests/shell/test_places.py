"""Locations in the shell: where cd leads, which commands exist there, what a line means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dtk.errors import UsageError
from dtk.shell.command_lines import arguments, has_command
from dtk.shell.contexts import ROOT, Context, children, moved
from dtk.shell.history import MOST_LINES, HistoryFile
from dtk.shell.session import Session, split_line
from dtk.shell.workspace_names import WorkspaceNames
from dtk.state.workspace import Workspace

NODES = {"master": False, "slaves": True, "slaves:1": False, "slaves:2": False}


class Town:
    """Fixed names instead of those of a workspace."""

    def services(self) -> list[str]:
        return ["spark1", "web"]

    def nodes(self, service: str) -> dict[str, bool]:
        return NODES if service == "spark1" else {}

    def modules(self) -> list[str]:
        return ["bigtop:hadoop", "bigtop:spark"]

    def assemblies(self, module: str) -> list[str]:
        return ["cluster"] if module == "bigtop:spark" else []


class TownWorkspace(Town, WorkspaceNames):
    """The same names, for a session."""


def at(path: str) -> Context:
    return moved(Town(), ROOT, path)


@pytest.mark.parametrize(
    ("start", "path", "expected"),
    [
        ("/", "service/spark1", "/service/spark1"),
        ("/service/spark1", "slaves:1/", "/service/spark1/slaves:1"),
        ("/service/spark1", "node/master", "/service/spark1/master"),
        ("/service/spark1/master", "../", "/service/spark1"),
        ("/service/spark1/master", "../../web", "/service/web"),
        ("/service/spark1", "../../../..", "/"),
        ("/service", "/service-module/bigtop:spark/assembly/cluster", "/service-module/bigtop:spark/assembly/cluster"),
    ],
)
def test_cd_takes_absolute_relative_and_upward_paths(start: str, path: str, expected: str) -> None:
    assert moved(Town(), at(start), path).path == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/servce", "'servce' is not a valid location"),
        ("/service/nope", "Identifier 'nope' is not valid."),
        ("/service/spark1/slaves:9", "Identifier 'slaves:9' is not valid."),
    ],
)
def test_a_place_that_is_not_there_is_refused(path: str, message: str) -> None:
    with pytest.raises(UsageError, match="^" + message.replace(".", r"\.")):
        at(path)


def test_only_modules_with_assemblies_are_service_modules() -> None:
    assert children(Town(), at("/service-module")) == ["bigtop:spark"]
    assert children(Town(), at("/component-module")) == ["bigtop:hadoop", "bigtop:spark"]


@pytest.mark.parametrize(
    ("place", "line", "expected"),
    [
        ("/", "converge spark1", "converge spark1"),
        ("/service/spark1", "converge", "converge spark1"),
        ("/service/spark1", "task-status 3 -m stream", "task-status spark1 3 -m stream"),
        ("/service/spark1/master", "info", "info spark1 master"),
        ("/service/spark1/slaves", "list-attributes", "list-attributes spark1 --node slaves"),
        ("/service/spark1/slaves", "set-attribute a::b/c 5", "set-attribute spark1 slaves/a::b/c 5"),
        ("/service/spark1/master", "add-component x:y[z]", "add-component spark1 master/x:y[z]"),
        ("/service-module/bigtop:spark/assembly/cluster", "stage web2", "stage bigtop:spark/cluster web2"),
        ("/service-module/bigtop:spark", "list-assemblies", "list-assemblies bigtop:spark"),
    ],
)
def test_a_place_puts_its_own_name_before_what_is_typed(place: str, line: str, expected: str) -> None:
    assert arguments(at(place), line.split(), asynchronous=False) == expected.split()


def test_at_a_prompt_tasks_are_left_to_themselves_unless_the_line_asks_to_follow() -> None:
    place = at("/service/spark1")
    assert arguments(place, ["converge"], asynchronous=True) == ["converge", "spark1", "--detach"]
    assert arguments(place, ["converge", "-s"], asynchronous=True) == ["converge", "spark1"]
    assert arguments(place, ["list-nodes"], asynchronous=True) == ["list-nodes", "spark1"]


@pytest.mark.parametrize(
    ("place", "there", "not_there"),
    [
        ("/service/spark1/master", "set-attribute", "converge"),
        ("/service/spark1/slaves", "list-components", "info"),
        ("/service/spark1/slaves:1", "info", "set-attribute"),
        ("/service/spark1", "converge", "stage"),
        ("/component-module/bigtop:spark", "list-components", "stage"),
    ],
)
def test_each_place_has_the_commands_of_its_kind(place: str, there: str, not_there: str) -> None:
    assert has_command(at(place), there)
    assert not has_command(at(place), not_there)
    with pytest.raises(UsageError, match=f"'{not_there}' is not a command in this location"):
        arguments(at(place), [not_there], asynchronous=False)


def test_a_line_holds_several_commands_and_quotes_keep_theirs_together() -> None:
    assert [*split_line("cd /a; set x 'b;c' ; ls # end")] == ["cd /a", "set x 'b;c'", "ls"]
    assert [*split_line("# nothing")] == []


def test_history_keeps_the_last_lines_without_repetitions_and_secrets(tmp_path: Path) -> None:
    history = HistoryFile(tmp_path / "private" / "history", lambda: ["pin"])
    for line in ("ls", "ls", " ", "set-attribute db/pin 1234", "set-attribute db/password x", "cd /"):
        history.add(line)
    assert history.lines() == ["ls", "cd /"]
    assert history.file.stat().st_mode & 0o777 == 0o600
    for number in range(MOST_LINES):
        history.add(f"info {number}")
    assert len(history.lines()) == MOST_LINES


@pytest.mark.parametrize(
    ("place", "line", "expected"),
    [
        ("/service/spark1", "dtk plan spark1", "plan spark1"),
        ("/service/spark1", "dtk plan web", "plan web"),
        ("/service/spark1", "dtk plan", "plan spark1"),
        ("/service/spark1/master", "dtk set-attribute spark1 master/a::b/c 5", "set-attribute spark1 master/a::b/c 5"),
        ("/service/spark1/master", "dtk apply spark1 --resume", "apply spark1 --resume"),
        ("/", "dtk ls", "ls"),
        ("/service-module", "dtk stage bigtop:spark/cluster two", "stage bigtop:spark/cluster two"),
    ],
)
def test_a_line_that_begins_with_dtk_means_what_it_means_outside(place: str, line: str, expected: str) -> None:
    lines: list[list[str]] = []

    def run(words: Sequence[str]) -> int:
        lines.append(list(words))
        return 0

    session = Session(TownWorkspace(Workspace(Path("/town"))), run, asynchronous=False)
    assert session.run_line(f"cd {place}") == 0
    assert session.run_line(line) == 0
    assert [words[2:] for words in lines] == [expected.split()]
