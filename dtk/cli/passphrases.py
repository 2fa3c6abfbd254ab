"""Asks for the passphrases of a target's keys at the terminal, before a command logs in to nodes."""

from __future__ import annotations

import json
import sys

import typer

from dtk.model.target import Target
from dtk.service.planning import Inputs
from dtk.state.workspace import Workspace

_KEY_SETTINGS = ("key", "jump_key", "ssh_config")


def ask_passphrases_for(inputs: Inputs) -> None:
    """Ask for the passphrases of the keys of a service's target; see ``ask_passphrases_of``."""
    ask_passphrases_of(inputs.target, inputs.workspace)


def ask_passphrases_of(target: Target, workspace: Workspace) -> None:
    """Ask for the passphrases of the target's keys now, once: no process that logs in to nodes later has a terminal.

    Raises:
        DtkError: no answer was correct.
    """
    named = json.dumps(target.settings, default=str)
    if not sys.stdin.isatty() or not any(f'"{setting}"' in named for setting in _KEY_SETTINGS):
        return
    from dtk.apply.passphrases import ask_passphrases  # noqa: PLC0415 - loads an SSH library
    from dtk.nodes.targets import provider_for  # noqa: PLC0415 - loads the target's own library

    keys = provider_for(target, workspace).private_keys()
    ask_passphrases(keys, lambda question: str(typer.prompt(question, hide_input=True, err=True)))
