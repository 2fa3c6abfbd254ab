"""Keeps secrets and hidden values out of everything that is written: each is replaced by ``(secret)``.

Over-redaction can be undone by a person, a leaked secret can not: every usual way of writing a value is looked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dtk.apply.reporting.secret_forms import FormIndex, forms_of, pattern_of
from dtk.model.json_data import ReadOnlyJson, texts_in
from dtk.model.value import SECRET_SHOWN, SHORTEST_HIDDEN

_SHORTEST_LINE = 4


class Redactor:
    """Knows the values that may not be shown; it only ever learns more."""

    def __init__(self) -> None:
        self._secrets = FormIndex()
        self._all = FormIndex()

    def add_secret(self, value: str) -> None:
        """Learn a secret; every form of it, and each of its lines, is redacted from now on."""
        if value:
            forms = _forms(value)
            self._secrets.add(forms)
            self._all.add(forms)

    def add_hidden(self, value: object) -> None:
        """Learn a hidden value, with all the texts inside it; very short ones are left alone."""
        for text in texts_in(value):
            if len(text) >= SHORTEST_HIDDEN:
                self._all.add(_forms(text))

    def holds_secret(self, value: object) -> bool:
        """Say whether a secret's value is anywhere in plain data, in any form."""
        return any(self._secrets.found_in(text) for text in texts_in(value))

    def text(self, text: str) -> str:
        """Return a text with every known value replaced, also where line breaks stand inside of one."""
        found = self._all.found_in(text) if self._all else []
        return pattern_of(found).sub(SECRET_SHOWN, text) if found else text

    def fields(self, fields: Mapping[str, ReadOnlyJson]) -> dict[str, Any]:
        """Return an event's fields with every known value replaced in their texts."""
        return {name: self.data(value) for name, value in fields.items()}

    def data(self, value: ReadOnlyJson) -> ReadOnlyJson:
        """Return plain data with every known value replaced in its texts."""
        if not self._all:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.data(item) for key, item in value.items()}
        return [self.data(item) for item in value] if isinstance(value, (list, tuple)) else value

    def split(self, text: str) -> tuple[str, str]:
        """Divide what has come of a text: a part that is final, redacted, and the rest, which may go on to be a secret.

        The rest begins inside of no value, so that none is halved.
        """
        at = self._all.unfinished(text)
        found = self._all.found_in(text) if at < len(text) else []
        spans = (match.span() for match in pattern_of(found).finditer(text)) if found else ()
        at = next((start for start, end in spans if start < at < end), at)
        return self.text(text[:at]), text[at:]


class RedactedStream:
    """Redacts a text that comes piece by piece; what may be the beginning of a secret waits for the next piece."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rest = ""

    def feed(self, text: str) -> str:
        """Take the next piece; return what is final, redacted."""
        final, self._rest = self._redactor.split(self._rest + text)
        return final

    def end(self) -> str:
        """Return what has waited, redacted: nothing follows."""
        rest, self._rest = self._rest, ""
        return self._redactor.text(rest)


def _forms(value: str) -> set[str]:
    """The forms of a value and of each of its lines, which programs print one by one."""
    lines = [line for line in value.splitlines() if len(line) >= _SHORTEST_LINE]
    return {form for text in {value, value.strip(), *lines} for form in forms_of(text)}
