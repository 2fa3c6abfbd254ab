"""Predicts the commands with which pyinfra's file operations will query a node, to run them in one exchange."""

from __future__ import annotations

import posixpath
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice

from pyinfra.api.command import StringCommand
from pyinfra.facts.files import Directory, File, FindInFile, Link, Sha1File
from pyinfra.facts.server import TmpDir
from pyinfra.operations.util.files import adjust_regex

from dtk.apply.items.action_run import Work
from dtk.apply.items.item import arguments_of, conditions_hold, rendered_item, unfolded
from dtk.apply.session.connector import raw_text
from dtk.apply.session.look_ahead import LookAhead, Looks
from dtk.model.json_data import ReadOnlyObject
from dtk.model.planned_action import Guarded, PlannedAdd, PlannedItem, PlannedOperation

_MOST = 200
"""Maximum number of an action's operations that are predicted."""

Scripts = Mapping[str, str]


@contextmanager
def foreseeing(work: Work) -> Iterator[None]:
    """While the items of an action run, combine the queries of several upcoming operations into one exchange."""
    connector = work.connector
    connector.look_ahead = LookAhead(partial(_foreseen, work))
    try:
        yield
    finally:
        connector.look_ahead = None


def _foreseen(work: Work) -> list[Looks | None]:
    """Return the predicted queries of an action's operations, in order.

    Returns:
        None for an operation that can't be predicted, or that runs something on the node before its queries.
    """
    return list(islice((looks for item in work.action.items for looks in _of_item(work, item)), _MOST))


def _of_item(work: Work, item: PlannedItem) -> Iterator[Looks | None]:
    if not isinstance(item, Guarded):
        yield None
        return
    try:
        # The elements of its loop, without those that its conditions exclude.
        yield from [_looks(*one) for one in islice(unfolded(work, item), _MOST) if conditions_hold(*one)]
    except Exception:
        # Any error in the item is reported when the item runs.
        yield None


def _looks(work: Work, item: Guarded) -> Looks | None:
    if not isinstance(item, PlannedAdd) and not (isinstance(item, PlannedOperation) and item.name in _OPERATIONS):
        return None
    # The effects of guards, which are commands of the module, can't be predicted.
    is_guarded = bool(item.if_ or item.unless)
    rendered = rendered_item(work, item)
    if isinstance(rendered, PlannedAdd):
        return Looks(_put({"dest": str(rendered.target)}), work.defaults, is_guarded)
    arguments = {**work.defaults, **arguments_of(work, rendered)}
    options = {name: value for name, value in arguments.items() if name.startswith("_")}
    return Looks(_OPERATIONS[rendered.name](arguments), options, is_guarded)


def _put(arguments: ReadOnlyObject) -> Scripts:
    path = str(arguments["dest"])
    folder = posixpath.dirname(path) if arguments.get("create_remote_dir", True) else ""
    checksum = raw_text(Sha1File().command(path))
    return {
        **_asked(File().command(path)),
        **(_asked(Directory().command(folder)) if folder else {}),
        # Only of a regular file, as the operation does: reading a pipe would block forever.
        checksum: f"if [ -f {shlex.quote(path)} ]; then {checksum}; fi",
        **_asked(TmpDir().command()),
    }


def _asked(command: str | StringCommand) -> Scripts:
    text = raw_text(command)
    return {text: text}


def _directory(arguments: ReadOnlyObject) -> Scripts:
    return _asked(Directory().command(str(arguments["path"])))


def _file(arguments: ReadOnlyObject) -> Scripts:
    return _asked(File().command(str(arguments["path"])))


def _link(arguments: ReadOnlyObject) -> Scripts:
    return _asked(Link().command(str(arguments["path"])))


def _line(arguments: ReadOnlyObject) -> Scripts:
    pattern = adjust_regex(str(arguments["line"]), bool(arguments.get("escape_regex_characters")))
    interpolates, extended = bool(arguments.get("interpolate_variables")), bool(arguments.get("extended_regex"))
    return _asked(FindInFile().command(str(arguments["path"]), pattern, interpolates, extended))


_OPERATIONS: dict[str, Callable[[ReadOnlyObject], Scripts]] = {
    "files.put": _put,
    "files.template": _put,
    "files.directory": _directory,
    "files.file": _file,
    "files.link": _link,
    "files.line": _line,
}
