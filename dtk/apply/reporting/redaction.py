"""Keeps secrets and hidden values out of everything that is written: each is replaced by ``(secret)``.

A person can undo over-redaction, but not a leak. Therefore every usual way of writing a value is redacted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dtk.apply.reporting.secret_forms import FormIndex, forms_of, pattern_of
from dtk.model.json_data import ReadOnlyJson, texts_in
from dtk.model.value import SECRET_SHOWN, SHORTEST_HIDDEN

_SHORTEST_LINE = 4


class Redactor:
    """The set of values that must not be shown. Values are only ever added."""

    def __init__(self) -> None:
        self._secrets = FormIndex()
        self._all = FormIndex()

    def add_secret(self, value: str) -> None:
        """Add a secret; from now on, every form of it and of each of its lines is redacted."""
        if value:
            forms = _forms(value)
            self._secrets.add(forms)
            self._all.add(forms)

    def add_hidden(self, value: object) -> None:
        """Add a hidden value with all texts inside it, except very short ones."""
        for text in texts_in(value):
            if len(text) >= SHORTEST_HIDDEN:
                self._all.add(_forms(text))

    def holds_secret(self, value: object) -> bool:
        """Return whether plain data contains a secret, in any form."""
        return any(self._secrets.found_in(text) for text in texts_in(value))

    def text(self, text: str) -> str:
        """Return a text with every known value replaced, even if line breaks interrupt the value."""
        found = self._all.found_in(text) if self._all else []
        return pattern_of(found).sub(SECRET_SHOWN, text) if found else text

    def fields(self, fields: Mapping[str, ReadOnlyJson]) -> dict[str, Any]:
        """Return an event's fields with every known value in their texts replaced."""
        return {name: self.data(value) for name, value in fields.items()}

    def data(self, value: ReadOnlyJson) -> ReadOnlyJson:
        """Return plain data with every known value in its texts replaced."""
        if not self._all:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {key: self.data(item) for key, item in value.items()}
        return [self.data(item) for item in value] if isinstance(value, (list, tuple)) else value

    def split(self, text: str) -> tuple[str, str]:
        """Split the received part of a text into a final, redacted part and a rest that may be the start of a secret.

        The split is never inside a value, so that no value is cut in two.
        """
        at = self._all.unfinished(text)
        found = self._all.found_in(text) if at < len(text) else []
        spans = (match.span() for match in pattern_of(found).finditer(text)) if found else ()
        at = next((start for start, end in spans if start < at < end), at)
        return self.text(text[:at]), text[at:]


class RedactedStream:
    """A redactor for text that arrives in pieces; a possible start of a secret is held until the next piece."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._rest = ""

    def feed(self, text: str) -> str:
        """Add the next piece; return the final part, redacted."""
        final, self._rest = self._redactor.split(self._rest + text)
        return final

    def end(self) -> str:
        """Return the held text, redacted: no more input follows."""
        rest, self._rest = self._rest, ""
        return self._redactor.text(rest)


def _forms(value: str) -> set[str]:
    """Return the forms of a value and of each of its lines, since programs may print single lines."""
    lines = [line for line in value.splitlines() if len(line) >= _SHORTEST_LINE]
    return {form for text in {value, value.strip(), *lines} for form in forms_of(text)}
