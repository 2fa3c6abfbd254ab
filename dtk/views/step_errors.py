"""The error text of a failed step, the same in tables and streams."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dtk.events.tree import StepError
from dtk.views.formatting import harmless

_LONGEST_COMMAND = 2000
"""Maximum characters shown of a failed command; the log has the whole command."""


def error_text(error: StepError, *, is_shown: bool = False) -> str:
    """Return an error as text: its message, then the command, its exit code and last output, if any.

    A command quoted by the message is not repeated; with ``is_shown``, command and output are shown elsewhere and
    omitted here. A component's error begins with ``Component X: `` (docs/original.md 6.1). The indented lines are dtk's
    own addition: the original did not say which command failed.
    """
    component = f"Component {error.component}: " if error.component else ""
    details = [] if is_shown else [*_command(error), *_output(error)]
    return "\n".join([component + harmless(error.message), *details])


def errors_text(errors: Sequence[StepError], *, is_shown: bool = False) -> str:
    """Return the errors of one step, separated by a blank line; ``is_shown`` as in ``error_text``."""
    return "\n\n".join(error_text(error, is_shown=is_shown) for error in errors)


def shown_command(command: str) -> str:
    """Return a command, cut to its maximum length and followed by its full length if it is longer."""
    cut = len(command) > _LONGEST_COMMAND
    return f"{command[:_LONGEST_COMMAND]} … ({len(command)} characters)" if cut else command


def _command(error: StepError) -> list[str]:
    shown = shown_command(error.command)
    is_quoted = f"'{error.command}'" in error.message
    command = [f"  RUN: {_indented(shown)}"] if shown and not is_quoted else []
    code = [] if error.exit_code is None else [f"  RETURN CODE: {error.exit_code}"]
    return command + code


def _output(error: StepError) -> list[str]:
    output = "\n".join(error.output).rstrip()
    return [f"  OUTPUT:\n    {_indented(output)}"] if output else []


def _indented(text: str) -> str:
    return re.sub(r"\n(?=[^\n])", "\n    ", harmless(text.rstrip("\n")))
