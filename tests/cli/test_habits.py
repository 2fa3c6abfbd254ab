"""Commands and options of other tools, typed from habit: the error names dtk's own."""

from __future__ import annotations

import pytest

from dtk import __version__
from dtk.__main__ import run
from dtk.cli.app import LazyCommand
from dtk.cli.habits import _COMMANDS, _OPTIONS, ALIASES
from dtk.cli.registry import COMMANDS


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("aply", "did you mean 'dtk apply'?"),
        ("delete", "dtk delete-and-destroy SERVICE"),
        ("rm", "dtk uninstall MODULE"),
        ("show", "dtk info SERVICE"),
        ("reset", "dtk destroy-and-reset-nodes SERVICE"),
        ("grant", "dtk grant-access SERVICE NAME"),
        ("statsu", "did you mean 'dtk status'?"),
        ("nothing-like-it", "next: dtk --help"),
        ("apply web --auto-approve", "use dtk apply --yes"),
        ("apply web --limit master", "use dtk apply --only"),
        ("apply web --check", "next: dtk plan SERVICE"),
        ("plan web --jsn", "did you mean '--json'?"),
        ("apply web --nothing-like-it", "a value that begins with '-' must follow '--'"),
    ],
)
def test_a_word_or_option_of_another_tool_is_answered_with_dtks_own(
    line: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line.split()) == 2
    assert answer in capsys.readouterr().err


@pytest.mark.parametrize("line", ["help plan", "plan --help"])
def test_help_is_given_in_both_ways(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 0
    assert "Usage: dtk plan" in capsys.readouterr().out


@pytest.mark.parametrize("line", ["--version", "-V", "version"])
def test_the_version_is_printed_however_it_is_asked_for(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([line]) == 0
    assert capsys.readouterr().out == f"dtk {__version__}\n"


def test_an_alias_is_its_command(capsys: pytest.CaptureFixture[str]) -> None:
    for alias, name in ALIASES.items():
        assert run([alias, "--help"]) == 0
        assert COMMANDS[name].help.split(";")[0].rstrip(".")[:20] in capsys.readouterr().out


def test_no_habit_hides_a_command_and_each_answer_names_commands_and_options_that_exist() -> None:
    assert not (ALIASES.keys() | _COMMANDS.keys()) & COMMANDS.keys()
    options = {name for entry in COMMANDS.values() for p in LazyCommand(entry).real().params for name in p.opts}
    for answer in [*_COMMANDS.values(), *_OPTIONS.values()]:
        words = answer.replace(",", " ").replace(";", " ").split()
        named = {words[i + 1] for i, word in enumerate(words[:-1]) if word == "dtk"}
        assert named <= COMMANDS.keys(), answer
        assert {word for word in words if word.startswith("--") and word != "--"} <= options, answer
