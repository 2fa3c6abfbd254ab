"""The text of an operation: its name, its arguments, and the commands that it ran."""

from __future__ import annotations

from collections.abc import Sequence

from dtk.events.tree import OperationResult, StepError, TaskStep
from dtk.views.formatting import harmless, one_line
from dtk.views.step_errors import shown_command

_OWN_COMMAND = ("run", "add")
"""Kinds of operations whose heading is their command."""


def operation_heading(result: OperationResult) -> str:
    """Return the heading of an operation: ``RUN: … (syscall)``, ``ADD: …`` or ``OPERATION: …``."""
    if result.kind == "add":
        return f"ADD: {harmless(result.command or result.name)}"
    if result.kind == "run":
        return f"RUN: {harmless(shown_command(result.command))} (syscall)"
    return f"OPERATION: {one_line(result.name or result.command)}"


def operation_call(result: OperationResult) -> str:
    """Return the heading with the operation's arguments, such as ``OPERATION: files.directory {path: web}``."""
    heading = operation_heading(result)
    # The arguments of a shell are the commands it ran, which are shown completely below.
    has_arguments = result.arguments and not (result.name == "server.shell" and commands_of(result))
    return f"{heading} {one_line(result.arguments)}" if has_arguments else heading


def commands_of(result: OperationResult) -> str:
    """Return the commands that an operation ran, one per line; "" if its heading contains them."""
    if result.kind in _OWN_COMMAND or result.skipped or result.command == result.name:
        return ""
    return shown_command(result.command)


def is_shown(leaf: TaskStep) -> bool:
    """Return whether the step's results include the command that failed."""
    return all(_is_in_results(error, leaf.results) for error in leaf.errors)


def _is_in_results(error: StepError, results: Sequence[OperationResult]) -> bool:
    return any(result.exit_code and error.command in result.command for result in results)
