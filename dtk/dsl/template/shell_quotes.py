"""Finds values in shell commands at positions where quoting does not make them one word.

Values are quoted with single quotes. That is safe where the shell reads words, but not between quotes or in backticks,
here-documents, comments and arithmetic: there a malicious value could be executed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

Piece = str | None
"""One character of a command, or None for a value."""

WITHOUT_QUOTES = "dtk quotes the value itself: remove the quotes around it"
_REASONS = {
    "single": WITHOUT_QUOTES,
    "escaping": WITHOUT_QUOTES,
    "double": WITHOUT_QUOTES,
    "in_double": WITHOUT_QUOTES,
    "backtick": "a value in backticks can't be quoted: use $( ) instead",
    "arithmetic": "a value in $(( )) can't be quoted: assign it to a shell variable first",
    "comment": "a value in a comment can't be quoted: a line break in it would end the comment",
    "heredoc": "a value in a here-document can't be quoted: copy the text to the node with ADD",
    "escape": "a value after a backslash can't be quoted: remove the backslash",
}
_WORDS_ARE_READ = ("plain", "group", "in_plain")
_CLOSING = {
    "group": ")",
    "single": "'",
    "escaping": "'",
    "double": '"',
    "backtick": "`",
    "in_plain": "}",
    "in_double": "}",
}
_OPENING = (
    ("$((", "arithmetic"),
    ("$(", "group"),
    ("${", "in_plain"),
    ("$'", "escaping"),
    ("'", "single"),
    ('"', "double"),
    ("`", "backtick"),
    ("(", "group"),
)
_OPENING_IN_DOUBLE = (("$((", "arithmetic"), ("$(", "group"), ("${", "in_double"), ("`", "backtick"))
_HEREDOC = re.compile(r"<<(?P<strip>-?)[ \t]*(?P<end>'[^'\n]*'|\"[^\"\n]*\"|[^\s;|&()<>]+)")
_VALUE = "\ue000"


def misplaced_values(pieces: Sequence[Piece]) -> list[tuple[int, str]]:
    """Return the values of a command that quoting does not protect.

    Args:
        pieces: the command, character by character, with None for each value.

    Returns:
        The indices of the values, from 0, each with the reason.
    """
    return _QuoteScanner(pieces).scan()


class _QuoteScanner:
    """Scans a command once and keeps the stack of contexts; the innermost one is last."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self.text = "".join(_VALUE if piece is None else piece.replace(_VALUE, " ") for piece in pieces)
        self.contexts = ["plain"]
        self.heredocs: list[tuple[str, bool]] = []
        self.at = 0
        self.value = 0
        self.found: list[tuple[int, str]] = []

    def scan(self) -> list[tuple[int, str]]:
        while self.at < len(self.text):
            self._step()
        return self.found

    def _step(self) -> None:
        context = self.contexts[-1]
        character = self.text[self.at]
        if character == _VALUE:
            self._take_value(context)
        # In single quotes a backslash is literal, so the quote after it ends them.
        elif character == "\\" and context != "single":
            self._skip_escaped()
        elif context == "arithmetic":
            self._step_arithmetic()
        elif character == _CLOSING.get(context):
            self.contexts.pop()
            self.at += 1
        elif context in _WORDS_ARE_READ:
            self._step_plain()
        else:
            self._open(_OPENING_IN_DOUBLE if context in ("double", "in_double") else ())

    def _take_value(self, context: str) -> None:
        if context not in _WORDS_ARE_READ:
            self.found.append((self.value, _REASONS[context]))
        self.value += 1
        self.at += 1

    def _skip_escaped(self) -> None:
        self.at += 1
        if self.text[self.at : self.at + 1] == _VALUE:
            self._take_value("escape")
        else:
            self.at += 1

    def _step_arithmetic(self) -> None:
        if self.text.startswith("))", self.at):
            self.contexts.pop()
            self.at += 2
        else:
            self.at += 1

    def _step_plain(self) -> None:
        character = self.text[self.at]
        if character == "\n" and self.heredocs:
            self.at += 1
            self._skip_heredocs()
        elif character == "#" and self._begins_word():
            self._skip_to_line_end("comment")
        elif self.text.startswith("<<<", self.at):
            self.at += 3
        elif self.text.startswith("<<", self.at):
            self._note_heredoc()
        else:
            self._open(_OPENING)

    def _open(self, openings: Sequence[tuple[str, str]]) -> None:
        for opening, context in openings:
            if self.text.startswith(opening, self.at):
                self.contexts.append(context)
                self.at += len(opening)
                return
        self.at += 1

    def _begins_word(self) -> bool:
        return self.at == 0 or self.text[self.at - 1] in " \t\n;&|()"

    def _note_heredoc(self) -> None:
        match = _HEREDOC.match(self.text, self.at)
        if match:
            self.heredocs.append((match["end"].strip("'\""), bool(match["strip"])))
            # Values in the delimiter are not reported, but must be counted.
            self.value += match[0].count(_VALUE)
        self.at = match.end() if match else self.at + 2

    def _skip_heredocs(self) -> None:
        for end, strip in self.heredocs:
            while self.at < len(self.text):
                line = self.text[self.at :].partition("\n")[0]
                if (line.lstrip("\t") if strip else line) == end:
                    self.at += len(line)
                    break
                self._skip_to_line_end("heredoc")
                self.at += 1
        self.heredocs = []

    def _skip_to_line_end(self, context: str) -> None:
        while self.at < len(self.text) and self.text[self.at] != "\n":
            if self.text[self.at] == _VALUE:
                self._take_value(context)
            else:
                self.at += 1
