"""A session of the shell: the current location, and what each line does there."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby

import typer

from dtk.errors import DtkError, UsageError
from dtk.shell.command_lines import arguments, commands_of, has_command
from dtk.shell.contexts import ROOT, Context, children, moved, still_there
from dtk.shell.workspace_names import WorkspaceNames
from dtk.views.harmless_stream import drawing_stream

BUILT_IN = {
    "cd": "Change the location: /service/NAME, a name below, .. or - (the previous one). Default: /.",
    "pushc": "Save this location and change to another one.",
    "popc": "Return to the location saved last.",
    "dirs": "List the saved locations.",
    "ls": "List the contents of this location.",
    "help": "List the commands at this location; help COMMAND shows one.",
    "clear": "Clear the screen.",
    "exit": "Leave the shell; tasks continue.",
}
_ALIASES = {"cc": "cd", "list": "ls", "quit": "exit", "?": "help", "rm": "delete-and-destroy"}
_CLEAR = "\x1b[H\x1b[2J"

Run = Callable[[list[str]], int]


class LeaveShellError(Exception):
    """The user typed exit."""


class Session:
    """The current location, the stack of remembered locations, and the function that runs a command line.

    With ``asynchronous``, tasks are started but not followed, as people at a prompt expect; a script waits for them.
    """

    def __init__(self, names: WorkspaceNames, run: Run, *, asynchronous: bool) -> None:
        self.names = names
        self.context = ROOT
        self._run = run
        self._asynchronous = asynchronous
        self._previous = ROOT
        self._stack: list[Context] = []

    def run_line(self, line: str) -> int:
        """Run a line and return its exit code; errors are printed on standard error."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            return _tell(UsageError("unclosed quote"))
        if not words:
            return 0
        try:
            return self._typed_elsewhere(words[1:]) if words[0] == "dtk" else self._in(self.context, words)
        except DtkError as error:
            return _tell(error)
        # The line may have deleted the service or node of the current location.
        finally:
            self.context = still_there(self.names, self.context)

    def run_script(self, lines: Iterable[str]) -> int:
        """Run lines until one fails; return its exit code, or 0 if none fails."""
        try:
            return next((code for line in lines for one in split_line(line) if (code := self.run_line(one))), 0)
        except LeaveShellError:
            return 0

    def _typed_elsewhere(self, words: Sequence[str]) -> int:
        """Run a line such as ``dtk plan spark1``, copied from a hint or the documentation; it works everywhere."""
        if not words:
            return self._built_in(self.context, "help", [])
        names_service = any(word in self.names.services() for word in words[1:])
        context = self.context if has_command(self.context, words[0]) and not names_service else ROOT
        return self._command(context, words) if has_command(context, words[0]) else self._in(context, words)

    def _in(self, context: Context, words: Sequence[str]) -> int:
        name, *rest = [_ALIASES.get(words[0], words[0]), *words[1:]]
        if name in BUILT_IN:
            return self._built_in(context, name, rest)
        if has_command(context, name):
            return self._command(context, [name, *rest])
        # Commands take precedence over names: a node with the name of a command is reached by its path.
        below = self._below(context, words[0])
        if below is None:
            raise UsageError(f"'{words[0]}' is not a command in this location", hint="help")
        if not rest:
            raise UsageError(f"'{words[0]}' is a location, not a command", hint=f"cd {words[0]}")
        return self._in(below, rest)

    def _below(self, context: Context, path: str) -> Context | None:
        """Return the location named by the first word of a line such as ``master info`` or ``/service/x converge``."""
        try:
            return moved(self.names, context, path)
        except UsageError:
            if "/" in path:
                raise
            return None

    def _command(self, context: Context, words: Sequence[str]) -> int:
        line = arguments(context, words, asynchronous=self._asynchronous)
        return self._run(["--workspace", str(self.names.workspace.root), *line])

    def _built_in(self, context: Context, name: str, rest: Sequence[str]) -> int:
        if name == "exit":
            raise LeaveShellError
        if name in ("cd", "pushc"):
            self._go(context, rest[0] if rest else "/", remember=name == "pushc")
        elif name == "popc":
            self._pop()
        elif name == "dirs":
            typer.echo(" ".join(context.path for context in [self.context, *reversed(self._stack)]))
        elif name == "clear":
            typer.echo(_CLEAR, file=drawing_stream(sys.stdout), nl=False)
        elif name == "ls":
            return self._list(moved(self.names, context, rest[0]) if rest and rest[0][0] != "-" else context, rest)
        elif rest:
            return self._help(context, rest[0])
        else:
            typer.echo(help_text(context), nl=False)
        return 0

    def _go(self, context: Context, path: str, *, remember: bool) -> None:
        target = self._previous if path == "-" else moved(self.names, context, path)
        if remember:
            self._stack.append(self.context)
        self._previous, self.context = self.context, target

    def _pop(self) -> None:
        if not self._stack:
            raise UsageError("no previous location", hint="pushc PATH")
        self._previous, self.context = self.context, still_there(self.names, self._stack.pop())

    def _list(self, context: Context, words: Sequence[str]) -> int:
        """List the contents of a location, with the matching list command, or as the names below it."""
        options = [word for word in words if word.startswith("-")]
        lines = {
            "services": ["ls"],
            "service": ["list-nodes", context.service],
            "node": ["list-components", context.service, "--node", context.node],
            "group": ["list-components", context.service, "--node", context.node],
            "member": ["list-components", context.service, "--node", context.node],
            "service-modules": ["list-modules"],
            "component-modules": ["list-modules"],
            "component-module": ["list-components", context.module],
            "assemblies": ["list-assemblies", context.module],
            "assembly": ["info", context.assembly],
        }
        if context.kind in lines:
            return self._run(["--workspace", str(self.names.workspace.root), *lines[context.kind], *options])
        typer.echo("\n".join(children(self.names, context)))
        return 0

    def _help(self, context: Context, name: str) -> int:
        name = _ALIASES.get(name, name)
        if name in BUILT_IN:
            typer.echo(BUILT_IN[name])
            return 0
        if not has_command(context, name):
            raise UsageError(f"'{name}' is not a command in this location", hint="help")
        return self._run([name, "--help"])


def help_text(context: Context) -> str:
    """Return the commands of a location, and the shell's own."""
    entries = [(entry.name, entry.help) for entry in commands_of(context)]
    width = max(len(name) for name, _ in [*entries, *BUILT_IN.items()])
    lines = [f"  {name.ljust(width)}  {text}" for name, text in entries]
    own = [f"  {name.ljust(width)}  {text}" for name, text in BUILT_IN.items()]
    return "\n".join([f"Commands of {context.path}", *lines, "", "Everywhere", *own]) + "\n"


def split_line(line: str) -> Iterator[str]:
    """Yield the commands of a line, which ``;`` separates outside of quotes."""
    reader = shlex.shlex(line, posix=False, punctuation_chars=";")
    reader.whitespace_split = True
    reader.commenters = "#"
    try:
        words = list(reader)
    except ValueError:
        yield line  # unclosed quote: the error is reported for the whole line
        return
    for is_end, command in groupby(words, key=lambda word: set(word) == {";"}):
        if not is_end:
            yield " ".join(command)


def _tell(error: DtkError) -> int:
    lines = [f"error: {error.message}", *([f"next: {error.hint}"] if error.hint else [])]
    print("\n".join(lines), file=sys.stderr)  # noqa: T201 - the shell prints its own errors
    return error.exit_code
