"""The forms in which a value can be written (quoted, escaped, encoded), and a search for them in a text."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

_PREFIX = 4
"""Length of the prefix index: the cost of a search depends on the text's length, not on the number of forms."""
_SHORTEST_ENCODED = 4
"""Minimum length of values that are also redacted as base64 and hexadecimal; shorter ones would match everywhere."""
_SHORTEST_BASE64 = 5
_BREAK = "[\r\n]*"


def forms_of(text: str) -> set[str]:
    """Return the forms of a value without line breaks: programs may wrap lines anywhere."""
    written = {text, *_in_quotes(text), *_escaped(text), *_in_urls(text)}
    if len(text) >= _SHORTEST_ENCODED:
        written |= {*_in_base64(text.encode()), text.encode().hex(), text.encode().hex().upper()}
    return {flat(form) for form in written} - {""}


def flat(text: str) -> str:
    """Return a text without its line breaks."""
    return text.replace("\r", "").replace("\n", "")


def _in_quotes(text: str) -> Iterator[str]:
    """Yield a text as in the quotes of a shell, quoted once and twice, and of YAML and SQL."""
    quoted = shlex.quote(text)
    for words in (quoted, shlex.quote(quoted)):
        yield words[1:-1] if len(words) > 2 and words[0] == words[-1] == "'" else words
    yield re.sub(r'(["$`\\])', r"\\\1", text)
    yield re.sub(r"([^A-Za-z0-9_@%+=:,./-])", r"\\\1", text)
    yield text.replace("'", "''")


def _escaped(text: str) -> Iterator[str]:
    """Yield a text as JSON writes it, escaped once and twice, and as Python and HTML write it."""
    for ascii_only in (True, False):
        once = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield from (once, json.dumps(once, ensure_ascii=ascii_only)[1:-1])
    yield repr(text)[1:-1]
    yield html.escape(text)


def _in_urls(text: str) -> Iterator[str]:
    for form in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield form
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), form)


def _in_base64(value: bytes) -> Iterator[str]:
    """Yield, in both alphabets and for each alignment, the base64 characters that depend on the value alone."""
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(value)) * 8 // 6
        inside = base64.b64encode(bytes(before) + value).decode()[first:last]
        if len(inside) >= _SHORTEST_BASE64:
            yield inside
            yield inside.replace("+", "-").replace("/", "_")


class FormIndex:
    """An index of the forms of many values that quickly finds those in a text."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._short: set[str] = set()
        self._by_prefix: dict[str, list[str]] = {}
        self._beginnings: set[str] = set()
        self._longest = 0

    def __bool__(self) -> bool:
        """Return whether the index has any forms."""
        return bool(self._forms)

    def add(self, forms: Iterable[str]) -> None:
        """Add forms; they must have no line breaks."""
        for form in set(forms) - self._forms:
            self._forms.add(form)
            self._longest = max(self._longest, len(form))
            self._beginnings.update(form[:length] for length in range(1, min(_PREFIX, len(form))))
            if len(form) < _PREFIX:
                self._short.add(form)
            else:
                self._by_prefix.setdefault(form[:_PREFIX], []).append(form)

    def found_in(self, text: str) -> list[str]:
        """Return the forms in a text, the longest first; line breaks in the text are ignored."""
        one_line = flat(text)
        found = [form for form in self._candidates(one_line) if form in one_line]
        return sorted(found, key=len, reverse=True)

    def _candidates(self, one_line: str) -> Iterable[str]:
        if len(self._forms) <= len(one_line):
            return self._forms
        starts = {one_line[at : at + _PREFIX] for at in range(len(one_line) - _PREFIX + 1)}
        return [*self._short, *(form for start in starts & self._by_prefix.keys() for form in self._by_prefix[start])]

    def unfinished(self, text: str) -> int:
        """Return the start of a suffix of a text that may continue as a form; the text's length if there is none."""
        # Ignored line breaks may occur between any two characters.
        tail = text[-3 * self._longest :] if self._longest else ""
        positions = [at for at, character in enumerate(tail) if character not in "\r\n"]
        one_line = flat(tail)
        for at in range(max(len(one_line) - self._longest + 1, 0), len(one_line)):
            if self._begins_a_form(one_line[at:]):
                return len(text) - len(tail) + positions[at]
        return len(text)

    def _begins_a_form(self, end: str) -> bool:
        if len(end) < _PREFIX:
            return end in self._beginnings
        return any(len(form) > len(end) and form.startswith(end) for form in self._by_prefix.get(end[:_PREFIX], ()))


def pattern_of(forms: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that matches any of the forms, even with line breaks inside."""
    return re.compile("|".join(_BREAK.join(map(re.escape, form)) for form in forms))
