"""What an operation is called where it is shown: its name, its arguments, the commands that it ran."""

from __future__ import annotations

from collections.abc import Sequence

from dtk.events.tree import OperationResult, StepError, TaskStep
from dtk.views.formatting import harmless, one_line
from dtk.views.step_errors import shown_command

_OWN_COMMAND = ("run", "add")
"""Kinds whose heading is their command."""


def operation_heading(result: OperationResult) -> str:
    """Return the line that names an operation: ``RUN: … (syscall)``, ``ADD: …``, ``OPERATION: …``."""
    if result.kind == "add":
        return f"ADD: {harmless(result.command or result.name)}"
    if result.kind == "run":
        return f"RUN: {harmless(shown_command(result.command))} (syscall)"
    return f"OPERATION: {one_line(result.name or result.command)}"


def operation_call(result: OperationResult) -> str:
    """Return the heading with the operation's arguments: ``OPERATION: files.directory {path: web}``."""
    heading = operation_heading(result)
    # A shell's arguments are the commands it ran, which stand below, whole.
    has_arguments = result.arguments and not (result.name == "server.shell" and commands_of(result))
    return f"{heading} {one_line(result.arguments)}" if has_arguments else heading


def commands_of(result: OperationResult) -> str:
    """Return the commands that an operation ran, a line each; "" where its heading says them."""
    if result.kind in _OWN_COMMAND or result.skipped or result.command == result.name:
        return ""
    return shown_command(result.command)


def is_shown(leaf: TaskStep) -> bool:
    """Say whether the step's results hold the command that failed it."""
    return all(_is_in_results(error, leaf.results) for error in leaf.errors)


def _is_in_results(error: StepError, results: Sequence[OperationResult]) -> bool:
    return any(result.exit_code and error.command in result.command for result in results)
