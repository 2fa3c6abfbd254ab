"""The entry point: runs a command and turns errors into a message and an exit code."""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

# Python looks for garbage after every 700 new objects: a fifth of the time of every command, which leaves little of it.
# Before the other imports, which make many objects.
gc.set_threshold(200_000, 20, 100)

import typer  # noqa: E402

from dtk import __version__  # noqa: E402
from dtk.errors import DtkError, InvalidError, refused_by_machine  # noqa: E402
from dtk.views.harmless_stream import make_streams_harmless  # noqa: E402

if TYPE_CHECKING:
    from dtk.views.ci.annotation import Annotation

INTERRUPTED = 130
_UNKNOWN_COMMAND = re.compile(r"No such command '(?P<name>.*)'\.", re.DOTALL)
_MOST_PROBLEMS = 50
"""Maximum number of problems shown at once: nobody fixes more before checking again."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code (docs/architecture.md, Exit codes)."""
    _open_standard_streams()
    # Others must not be able to change files that dtk creates, whatever the umask; private files set their own mode.
    os.umask(os.umask(0o077) | 0o022)
    make_streams_harmless()
    try:
        code = run(list(sys.argv[1:] if arguments is None else arguments))
    finally:
        # At its end, Python looks through all objects for garbage, several times: a sixth of the time of `dtk plan`.
        gc.freeze()
    sys.exit(code)


def _open_standard_streams() -> None:
    """Open descriptors 0 to 2 if closed; otherwise the next opened file would be mistaken for a standard stream."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)
            if opened != number:
                os.close(opened)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open until the process ends


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code; errors are printed on standard error."""
    try:
        return _run(arguments)
    except DtkError as error:
        _say(error_text(error))
        _annotate(error)
        return error.exit_code
    except typer.TyperException as error:
        # Click suggests options by spelling alone; dtk's own suggestion is in the next line.
        message = error.format_message().partition(" (Possible options: ")[0]
        _say(f"error: {message}\nnext: {_help_for(error)}")
        return 2
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return _closed_output()
    except Exception as error:
        refused = refused_by_machine(error)
        return _refused(refused) if refused else _bug(error)


def _run(arguments: list[str]) -> int:
    from dtk.cli.app import app  # noqa: PLC0415 - so that a failing import is caught by run

    try:
        result = app(arguments or ["--help"], prog_name="dtk", standalone_mode=False)
    except typer.Exit as error:
        return error.exit_code
    return result if isinstance(result, int) else 0


def _help_for(error: typer.TyperException) -> str:
    """Return what to run instead of an invalid command line."""
    from dtk.cli.habits import command_hint, option_hint  # noqa: PLC0415 - only for errors
    from dtk.cli.registry import COMMANDS  # noqa: PLC0415

    context = getattr(error, "ctx", None)
    command = context.command_path if context else "dtk"
    unknown = _UNKNOWN_COMMAND.fullmatch(error.format_message())
    if unknown:
        return command_hint(unknown["name"], COMMANDS) or "dtk --help"
    option = getattr(error, "option_name", "")
    if not option:
        return f"{command} --help"
    known = [name for parameter in context.command.params for name in parameter.opts] if context else []
    # An option unlike any other may be meant as a value, such as a negative number or a Java flag.
    return option_hint(option, command, known) or f"{command} --help; a value that begins with '-' must follow '--'"


def error_text(error: DtkError) -> str:
    """Return an error as text: the message, a line per problem, and what to do next."""
    lines = [f"error: {error.message}"]
    if isinstance(error, InvalidError):
        lines += _problem_lines(error)
        more = len(error.problems) - _MOST_PROBLEMS
        lines += [f"  … and {more} more"] if more > 0 else []
    return "\n".join([*lines, f"next: {error.hint}"] if error.hint else lines)


def _problem_lines(error: InvalidError) -> list[str]:
    """Return a line per problem, followed by the source line it refers to."""
    from dtk.cli.excerpt import excerpt  # noqa: PLC0415 - only for errors

    lines = []
    for problem in error.problems[:_MOST_PROBLEMS]:
        lines += [f"  {problem}", *(f"      {line}" for line in excerpt(problem))]
    return lines


def _say(text: str) -> None:
    from dtk.cli.output import use_color  # noqa: PLC0415 - only for errors
    from dtk.views.stream_color import message_in_color  # noqa: PLC0415 - as above

    shown = message_in_color(text) if use_color(sys.stderr) else text
    print(shown, file=sys.stderr)  # noqa: T201 - the entry point prints errors


def _annotate(error: DtkError) -> None:
    """Show the error beside the code, if the job's forge supports it."""
    from dtk.cli.forge import annotate  # noqa: PLC0415 - only for errors

    def mistakes() -> Sequence[Annotation]:
        from dtk.views.ci.annotation import Annotation, problem_annotations  # noqa: PLC0415 - as above

        problems = problem_annotations(error.problems) if isinstance(error, InvalidError) else []
        next_step = f"\nnext: {error.hint}" if error.hint else ""
        return problems or [Annotation(f"{error.message}{next_step}", "dtk")]

    annotate(mistakes, "mistakes")


def _closed_output() -> int:
    """Ignore that the reader of the output has gone (``dtk ls | head``), and keep Python from reporting it at exit."""
    sys.stdout = sys.stderr = open("/dev/null", "w")  # noqa: SIM115, PTH123 - open until the process ends
    return 0


def _refused(error: DtkError) -> int:
    _say(f"error: {error.message}\nnext: {error.hint}")
    return 1


def _bug(error: Exception) -> int:
    import tempfile  # noqa: PLC0415 - only for bugs
    import traceback  # noqa: PLC0415 - as above

    report = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile("w", prefix="dtk-bug-", suffix=".txt", delete=False) as file:
        file.write(f"dtk {__version__}, Python {sys.version}\n\n{report}")
    _say(f"error: a bug in dtk: {type(error).__name__}: {error}\nnext: please report it with {Path(file.name)}")
    return 1


if __name__ == "__main__":
    main()
