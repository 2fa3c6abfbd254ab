"""The frame of the command line: the group of lazily imported commands, and the global options."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand, TyperGroup

from dtk import __version__
from dtk.cli.coercion import QuickCommand, convert_quickly
from dtk.cli.forge import shield_streams
from dtk.cli.habits import ALIASES
from dtk.cli.registry import COMMANDS, CommandEntry
from dtk.service.global_options import Settings, remember
from dtk.views.ci.forge import Forge

if TYPE_CHECKING:
    from typer._click.core import Context, Parameter

GLOBAL_OPTIONS = {"--workspace": True, "--no-color": False, "--offline": False, "--ci": True}
"""Options allowed anywhere on the command line, and whether they take a value."""


class LazyCommand(TyperCommand):
    """A command that imports its function when it is used, not when it is listed."""

    def __init__(self, entry: CommandEntry) -> None:
        super().__init__(entry.name, help=entry.help, rich_help_panel=entry.area)
        self.entry = entry

    def real(self) -> TyperCommand:
        """Return the command that this one stands for."""
        # Import only the command that runs: importing all of them would slow down every start.
        module, _, function = self.entry.function.partition(":")
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.entry.name, cls=QuickCommand)(getattr(importlib.import_module(module), function))
        command = cast(TyperCommand, typer.main.get_command(app))
        # An example inside of a paragraph is hard to find, and to copy.
        command.help = re.sub(r"\s+(Examples?: )", r"\n\n\1", command.help or "")
        return command

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """Delegate to the real command."""

        def loaded() -> Context:
            real = self.real()
            words = self.entry.words_before_command
            return real.make_context(
                info_name, with_separator(args, real.params, words) if words else args, parent, **extra
            )

        if not self.entry.starts_early:
            return loaded()
        from dtk.cli.early_worker import load_beside_worker  # noqa: PLC0415 - only for commands that start a task

        return load_beside_worker(self.entry.name, args, loaded)


class LazyGroup(TyperGroup):
    """All commands of the registry, in its order."""

    def get_params(self, ctx: Context) -> list[Parameter]:
        """Return the global options."""
        return convert_quickly(super().get_params(ctx))

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order of the registry."""
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002 - click's signature
        """Return the command of a name."""
        entry = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        return LazyCommand(entry) if entry else None

    def format_commands(self, ctx: object, formatter: Any) -> None:  # noqa: ARG002 - click's signature
        """Write the commands by area, each with its whole line."""
        for area, entries in groupby(COMMANDS.values(), key=lambda entry: entry.area):
            with formatter.section(area):
                formatter.write_dl([(entry.name, entry.help) for entry in entries])

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the global options anywhere on the command line; treat ``help COMMAND`` as ``COMMAND --help``."""
        if args[:1] == ["help"]:
            args = [*args[1:2], "--help"]
        return super().parse_args(ctx, hoisted(args))


def with_separator(args: list[str], parameters: Sequence[Parameter], words: int) -> list[str]:
    """Insert ``--`` after the given number of non-option words, so that the rest is passed to another command."""
    takes_value = {name for p in parameters if not getattr(p, "is_flag", True) for name in p.opts}
    position = found = 0
    while position < len(args) and found < words:
        if args[position] == "--":
            return args
        is_option = args[position].startswith("-")
        found += not is_option
        position += 2 if args[position] in takes_value else 1
    return [*args[:position], "--", *args[position:]] if args[position : position + 1] not in ([], ["--"]) else args


def hoisted(args: list[str]) -> list[str]:
    """Move the global options to the front: ``dtk ls --workspace DIR`` works like ``dtk --workspace DIR ls``."""
    front: list[str] = []
    rest: list[str] = []
    position = 0
    # What follows -- is the command line of another program (dtk ssh … -- ls --workspace): leave it alone.
    while position < len(args) and args[position] != "--":
        name, _, value = args[position].partition("=")
        width = 2 if GLOBAL_OPTIONS.get(name) and not value else 1
        (front if name in GLOBAL_OPTIONS else rest).extend(args[position : position + width])
        position += width if name in GLOBAL_OPTIONS else 1
    return [*front, *rest, *args[position:]]


app = typer.Typer(
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dtk {__version__}")
        raise typer.Exit


@app.callback()
def root(
    workspace: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The workspace. Default: the one that contains this folder.", envvar="DTK_WORKSPACE"
        ),
    ] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colors, as with NO_COLOR.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Do not contact the shared store: show what was last read from it.")
    ] = False,
    version: Annotated[  # noqa: ARG001 - done by its callback
        bool, typer.Option("--version", "-V", help="Print the version of dtk.", is_eager=True, callback=_print_version)
    ] = False,
    ci: Annotated[
        Forge | None,
        typer.Option("--ci", help="Write log groups, annotations and a summary for this forge. Default: detected."),
    ] = None,
) -> None:
    """Deploy services of many nodes from files in git: plan, apply, watch.

    Exit codes: 0 done, 1 failed, 2 usage, 3 invalid, 4 locked, 5 stale plan or machines exist that this state does
    not know, 6 cancelled, 10 changes (plan --detailed-exitcode), 130 interrupted. --workspace,
    --no-color, --offline and --ci may stand anywhere on the line.
    """
    remember(Settings(workspace, no_color, offline, ci or ""))
    shield_streams()
