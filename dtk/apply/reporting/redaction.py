"""Keeps secrets and hidden values out of everything that is written: each is replaced by ``(secret)``.

Over-redaction can be undone by a person, a leaked secret can not: every usual way of writing a value is looked for.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from dtk.model.expression import SECRET_SHOWN

# A hidden value is not always a secret; "yes" or "1" in place of every "yes" and "1" would make the log unreadable.
_SHORTEST_HIDDEN = 4
_SHORTEST_LINE = 4


class Redactor:
    """Knows the values that may not be shown; it only ever learns more."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add_secret(self, value: str) -> None:
        """Learn a secret; every form of it, and each of its lines, is redacted from now on."""
        if value:
            self._secrets.add(value)
            self._learn(value)

    def add_hidden(self, value: Any) -> None:
        """Learn a hidden value, with all the texts inside it; very short ones are left alone."""
        for text in _texts(value):
            if len(text) >= _SHORTEST_HIDDEN:
                self._learn(text)

    def _learn(self, value: str) -> None:
        lines = [line for line in value.splitlines() if len(line) >= _SHORTEST_LINE]
        before = len(self._forms)
        for text in {value, value.strip(), *lines} - {""}:
            self._forms.update(_forms(text))
        if len(self._forms) != before:
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(re.escape(form) for form in longest_first))

    def holds_secret(self, value: Any) -> bool:
        """Say whether a secret's value is anywhere in plain data."""
        return any(secret in text for text in _texts(value) for secret in self._secrets)

    def text(self, text: str) -> str:
        """Return a text with every known value replaced."""
        return self._pattern.sub(SECRET_SHOWN, text) if self._pattern else text

    def data(self, value: Any) -> Any:
        """Return plain data with every known value replaced in its texts."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.data(item) for key, item in value.items()}
        return [self.data(item) for item in value] if isinstance(value, (list, tuple)) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _forms(text: str) -> set[str]:
    """The ways a value is written: as it is, inside a shell's quotes once and twice, in JSON, in a URL, as repr."""
    quoted = shlex.quote(text)
    inside = {_unquoted(quoted), _unquoted(shlex.quote(quoted)), json.dumps(text)[1:-1]}
    return {text, *inside, json.dumps(text, ensure_ascii=False)[1:-1], quote(text, safe=""), repr(text)[1:-1]} - {""}


def _unquoted(quoted: str) -> str:
    return quoted[1:-1] if len(quoted) > 2 and quoted[0] == quoted[-1] == "'" else quoted
