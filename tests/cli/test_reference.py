"""Every command is documented, by its own words."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dtk.cli.registry import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_commands", ROOT / "docs" / "make_commands.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does_and_shows_an_example(name: str) -> None:
    command = [sys.executable, "-m", "dtk", name, "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    text = " ".join(shown.split())
    assert COMMANDS[name].help in text
    assert f"Example: dtk {name}" in text


def test_the_reference_in_docs_is_what_the_commands_say_today() -> None:
    written = (ROOT / "docs" / "commands.md").read_text()
    assert written == generator().reference(), "run: python docs/make_commands.py"
