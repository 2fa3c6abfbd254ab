"""The reference documents every command with the text of its ``--help``."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from dtk.cli.registry import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "commands.md"


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_commands", ROOT / "docs" / "make_commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    # The test below checks that this file is up to date.
    shown = REFERENCE.read_text().partition(f"### dtk {name}\n")[2].partition("\n### ")[0]
    text = " ".join(shown.split())
    assert COMMANDS[name].help in text
    assert f"Example: dtk {name}" in text


def test_the_reference_in_docs_is_what_the_commands_say_today() -> None:
    assert REFERENCE.read_text() == generator().reference(), "run: python docs/make_commands.py"
