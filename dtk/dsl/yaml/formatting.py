"""Canonical YAML format: two-space indent, indented lists, no trailing blanks; comments, order and quotes are kept."""

from __future__ import annotations

from io import StringIO

from dtk.dsl.yaml.document import parse_document
from dtk.errors import DtkError

_WIDEST = 100_000
"""In columns. Lines are never wrapped: their authors decide where they end."""


def formatted(text: str, name: str) -> str:
    """Return a document's text in the canonical format.

    Args:
        text: the document.
        name: the file's name, for messages.

    Raises:
        InvalidError: the text is not YAML.
        DtkError: formatting would change the meaning.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 - 31 ms that most commands need not spend

    before = _meaning(parse_document(text, name).data)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _WIDEST
    yaml.indent(mapping=2, sequence=4, offset=2)
    output = StringIO()
    yaml.dump(yaml.load(text), output)
    lines = [line.rstrip() for line in output.getvalue().split("\n")]
    made = "\n".join(_without_double_blanks(lines)).strip("\n") + "\n"
    made = made if _same(made, name, before) else output.getvalue()
    if not _same(made, name, before):
        raise DtkError(f"{name} can't be formatted without changing its meaning", hint="the file was not changed")
    return made


def _without_double_blanks(lines: list[str]) -> list[str]:
    return [line for number, line in enumerate(lines) if line or number == 0 or lines[number - 1]]


def _same(text: str, name: str, before: object) -> bool:
    try:
        return bool(_meaning(parse_document(text, name).data) == before)
    except DtkError:
        return False


def _meaning(value: object) -> object:
    """Return data that compares numbers by their text: ``2.70`` and ``2.7`` may be different versions."""
    if isinstance(value, dict):
        return [(key, _meaning(item)) for key, item in value.items()]
    if isinstance(value, list):
        return [_meaning(item) for item in value]
    return (type(value).__name__, str(value))
