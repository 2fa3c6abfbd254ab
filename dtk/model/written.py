"""Numbers that keep their written text.

YAML reads ``2.70`` as 2.7 before anything knows that its attribute is a string. These classes behave as numbers, but
their ``str`` is the text as written, so that the declared type decides (docs/module-language.md).
"""

from __future__ import annotations

import math
import re

from dtk.model.json_data import Json

_INTEGER = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LONGEST_NUMBER = 300
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class WrittenInteger(int):
    """A whole number with its written text: ``03`` is 3, shown as ``03``."""

    text: str

    def __new__(cls, value: int, text: str) -> WrittenInteger:
        """Return ``value`` with its text."""
        number = super().__new__(cls, value)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type, tuple[int | float, str]]:
        return WrittenInteger, (int(self), self.text)


class WrittenFloat(float):
    """A number with its written text: ``2.70`` is 2.7, shown as ``2.70``."""

    text: str

    def __new__(cls, value: float, text: str) -> WrittenFloat:
        """Return ``value`` with its text."""
        number = super().__new__(cls, value)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[type, tuple[int | float, str]]:
        return WrittenFloat, (float(self), self.text)


def written_scalar(text: str) -> Json:
    """Return what a plain scalar means in YAML 1.2's core schema, as far as JSON can express it.

    ``2015-11-26`` and ``yes`` are strings there. Octal, hexadecimal, infinite and overlong numbers stay strings too.
    """
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _LONGEST_NUMBER:
        if _INTEGER.fullmatch(text):
            return WrittenInteger(int(text), text)
        if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
            return WrittenFloat(float(text), text)
    return text


def unwritten(value: Json) -> Json:
    """Return plain data without the written texts: numbers become plain numbers."""
    if isinstance(value, WrittenInteger):
        return int(value)
    if isinstance(value, WrittenFloat):
        return float(value)
    if isinstance(value, dict):
        return {key: unwritten(item) for key, item in value.items()}
    return [unwritten(item) for item in value] if isinstance(value, list) else value


def as_written(value: Json) -> Json:
    """Return plain data for an untyped place: numbers whose text a plain number would lose become strings.

    ``2.70`` and ``007`` become strings, ``2.7`` and ``7`` stay numbers.
    """
    if isinstance(value, (WrittenInteger, WrittenFloat)):
        number = unwritten(value)
        return number if str(number) == value.text else value.text
    if isinstance(value, dict):
        return {key: as_written(item) for key, item in value.items()}
    return [as_written(item) for item in value] if isinstance(value, list) else value
