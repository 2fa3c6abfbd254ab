"""Builds plain data with spans from the YAML parser's events.

It uses events instead of ruamel.yaml's loader: events are a flat list, so that the depth is limited here and no nesting
can exhaust the stack, and each scalar still has its text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from dtk.dsl.yaml.span import DocumentPath, Span
from dtk.errors import InvalidError, Location, Problem
from dtk.model.json_data import Json
from dtk.model.written import written_scalar

_DEEPEST = 60
"""In levels of nesting. The deepest position in the language has 14."""

_NO_CHARACTER = re.compile("[\\ud800-\\udfff]")
"""Lone surrogates: escapes can express them, but files, commands and terminals can't contain them."""


@dataclass
class _Level:
    """An open map or list; ``key`` is the one that waits for its value."""

    path: DocumentPath
    container: dict[str, Any] | list[Any]
    start: Span
    key: str | None = None


@dataclass
class _Builder:
    name: str
    text: str
    values: dict[DocumentPath, Span] = field(default_factory=dict)
    keys: dict[DocumentPath, Span] = field(default_factory=dict)
    levels: list[_Level] = field(default_factory=list)
    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    last_end: int = 0

    def take(self, event: NodeEvent | CollectionEndEvent) -> None:
        """Process the event of a value, a key, or the end of a container."""
        if isinstance(event, CollectionEndEvent):
            self._close(event)
            return
        span = self._span(event)
        # Check before processing the value: an alias has no value of its own, and a tag would change its type.
        self._refuse_extras(event, span)
        if isinstance(event, ScalarEvent) and (wrong := _NO_CHARACTER.search(event.value)):
            self._problem(f"the character U+{ord(wrong[0]):04X} is not allowed in text", span.location)
        level = self.levels[-1] if self.levels else None
        if level and isinstance(level.container, dict) and level.key is None:
            self._take_key(event, level, span)
        elif isinstance(event, ScalarEvent):
            self._add_value(_scalar(event), self._at_key(span, level))
        elif isinstance(event, AliasEvent):
            self._add_value(None, span)
        else:
            self._open({} if isinstance(event, MappingStartEvent) else [], span)

    def _take_key(self, event: NodeEvent, level: _Level, span: Span) -> None:
        if not isinstance(event, ScalarEvent):
            hint = 'text; a template needs quotes: "{{ name }}"'
            self._stop("this can't be a key", span.location, hint)
        key = str(event.value)
        path = (*level.path, key)
        if key == "<<" and event.style is None:
            self._problem("merge keys (<<) are not supported: write the entries out", span.location)
        # YAML parsers silently use the last of two equal keys; which one the author meant is unknown.
        elif path in self.keys:
            first = self.keys[path].location.line
            self._problem(f"'{key}' is already given in line {first}", span.location, path)
        self.keys[path] = span
        level.key = key

    def _add_value(self, value: Json, span: Span) -> DocumentPath:
        """Store a value in its container, and return its path."""
        path: DocumentPath = ()
        if not self.levels:
            self.data = value
        else:
            level = self.levels[-1]
            if isinstance(level.container, dict):
                assert level.key is not None  # noqa: S101 - a map's value comes after its key
                path = (*level.path, level.key)
                level.container[level.key] = value
                level.key = None
            else:
                path = (*level.path, len(level.container))
                level.container.append(value)
        self.values[path] = span
        self.last_end = max(self.last_end, span.end)
        return path

    def _open(self, container: dict[str, Json] | list[Json], span: Span) -> None:
        if len(self.levels) >= _DEEPEST:
            self._stop(f"nested deeper than {_DEEPEST} levels", span.location)
        path = self._add_value(container, span)
        self.levels.append(_Level(path, container, span))

    def _close(self, event: CollectionEndEvent) -> None:
        level = self.levels.pop()
        # A block's end event comes after trailing blank lines and comments; the block ends with its last value.
        is_flow = event.end_mark.index > event.start_mark.index
        self.last_end = event.end_mark.index if is_flow else self.last_end
        self.values[level.path] = Span(level.start.location, level.start.start, self.last_end)

    def _refuse_extras(self, event: NodeEvent, span: Span) -> None:
        if isinstance(event, AliasEvent):
            self._problem(f"aliases (*{event.anchor}) are not supported: write the value out", span.location)
        elif getattr(event, "anchor", None):
            self._problem(f"anchors (&{event.anchor}) are not supported", span.location)
        tag = getattr(event, "tag", None)
        if tag and tag not in ("!", "tag:yaml.org,2002:str"):
            self._problem(f"tags ({tag}) are not supported", span.location)

    def _span(self, event: NodeEvent) -> Span:
        """Return the span of an event's value; the end of a container is set later."""
        mark, end = event.start_mark, event.end_mark.index
        if isinstance(event, (MappingStartEvent, SequenceStartEvent)):
            end = mark.index
        elif isinstance(event, ScalarEvent) and event.style in ("|", ">"):
            end = mark.index + len(self.text[mark.index : end].rstrip())
        return Span(Location(self.name, mark.line + 1, mark.column + 1), mark.index, end)

    def _at_key(self, span: Span, level: _Level | None) -> Span:
        """Return the span of a value; a missing value is located at its key, not at the next one."""
        if span.start < span.end or level is None or level.key is None:
            return span
        key = self.keys[(*level.path, level.key)]
        return Span(key.location, key.end, key.end)

    def _problem(self, message: str, location: Location, path: DocumentPath = ()) -> None:
        self.problems.append(Problem(message, location, "/".join(str(part) for part in path)))

    def _stop(self, message: str, location: Location, expected: str = "") -> NoReturn:
        self.problems.append(Problem(message, location, expected=expected))
        raise _failed(self.name, self.problems)


def build(text: str, name: str) -> tuple[Json, dict[DocumentPath, Span], dict[DocumentPath, Span]]:
    """Parse a YAML text; return its data, and the spans of its values and keys by path.

    Raises:
        InvalidError: the text is not YAML, or uses features that dtk does not support.
    """
    builder = _Builder(name, text)
    documents = 0
    try:
        # Events, not the loader, which loses positions, expands aliases and reads yes as true.
        for event in YAML(typ="safe", pure=True).parse(text):
            if isinstance(event, DocumentStartEvent):
                documents += 1
                if documents > 1:
                    line = event.start_mark.line + 1
                    builder._problem(
                        "a second YAML document starts here, but only one is allowed", Location(name, line, 1)
                    )
                    break
            elif isinstance(event, (NodeEvent, MappingEndEvent, SequenceEndEvent)):
                builder.take(event)
    except MarkedYAMLError as error:
        builder.problems.append(_syntax_problem(error, name))
    except ReaderError as error:
        builder.problems.append(_character_problem(error, text, name))
    except (YAMLError, ValueError) as error:
        builder.problems.append(Problem(f"not YAML: {error}", Location(name, 1, 1)))
    if builder.problems:
        # Check last: conflict markers in a text block are no problem if the file is valid YAML.
        raise _failed(name, _merge_conflicts(text, name) or builder.problems)
    if () not in builder.values:
        raise _failed(name, [Problem("the file is empty", Location(name, 1, 1))])
    return builder.data, builder.values, builder.keys


_CONFLICT = re.compile(r"^<{7} .*?^={7}$.*?^>{7}", re.MULTILINE | re.DOTALL)


def _merge_conflicts(text: str, name: str) -> list[Problem]:
    """Return the locations of git's conflict markers, which explain all other problems of the text."""
    found = (text.count("\n", 0, conflict.start()) + 1 for conflict in _CONFLICT.finditer(text.replace("\r\n", "\n")))
    message = "unresolved git merge conflict"
    return [
        Problem(message, Location(name, line, 1), expected="one of the two versions, without git's conflict markers")
        for line in found
    ]


def _scalar(event: ScalarEvent) -> Json:
    return written_scalar(event.value) if event.implicit[0] else event.value


def _failed(name: str, problems: list[Problem]) -> InvalidError:
    return InvalidError(f"{name} can't be read", problems)


def _syntax_problem(error: MarkedYAMLError, name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    location = Location(name, mark.line + 1, mark.column + 1) if mark else Location(name, 1, 1)
    detail = str(error.problem or error.context or "not YAML")
    if "'\\t'" in detail:
        return Problem("a tab is used for indentation", location, expected="spaces for indentation")
    if "mapping values are not allowed" in detail:
        return Problem("unquoted text contains ': '", location, expected="quotes around it")
    reason = f"{error.context}: {detail}" if error.context and error.problem else detail
    return Problem(f"not YAML: {reason}", location)


def _character_problem(error: ReaderError, text: str, name: str) -> Problem:
    before = text[: error.position]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    code = error.character if isinstance(error.character, int) else ord(str(error.character)[0])
    return Problem(f"the character U+{code:04X} is not allowed in a YAML file", Location(name, line, column))
