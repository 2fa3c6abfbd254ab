"""Plain data as YAML on one line: ``7077``, ``[a, b]``, ``{heap: 2g}``; truncation says how much is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping

from dtk.model.json_data import ReadOnlyJson

LONGEST = 60
"""Characters of a value on one line, so that a path and two values fit a terminal."""

_WORDS = ("true", "false", "null", "~", "yes", "no", "on", "off")
_FLOW_MARKS = frozenset(",[]{}")


def scalar_text(value: ReadOnlyJson) -> str:
    """Return a value on one line; a string is quoted if YAML would read it as something else."""
    if isinstance(value, str) and value and not looks_like_more(value):
        return value
    return json.dumps(value, ensure_ascii=False)


def looks_like_more(text: str) -> bool:
    """Return whether YAML would read a non-empty unquoted text as something else."""
    if text != text.strip() or not text.isprintable() or text[0] in "-?:,[]{}#&*!|>'\"%@`" or ": " in text:
        return True
    return text.endswith(":") or " #" in text or text.lower() in _WORDS or _is_number(text)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text[:2].lower() in ("0x", "0o")
    return True


def flow_text(value: ReadOnlyJson, longest: int = LONGEST) -> str:
    """Return a value as YAML in flow style.

    Args:
        value: plain data.
        longest: maximum number of characters; a longer value is cut and says how much is left out.
    """
    if isinstance(value, Mapping):
        return _within("{}", (f"{_flow_scalar(str(key))}: {flow_text(item)}" for key, item in value.items()), longest)
    if isinstance(value, (list, tuple)):
        return _within("[]", (flow_text(item) for item in value), longest)
    text = _flow_scalar(value)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest} more characters)"


def _flow_scalar(value: ReadOnlyJson) -> str:
    is_plain = not (isinstance(value, str) and _FLOW_MARKS & set(value))
    return scalar_text(value) if is_plain else json.dumps(value, ensure_ascii=False)


def _within(brackets: str, items: Iterable[str], longest: int) -> str:
    shown = list(_fitting(parts := list(items), longest))
    left_out = len(parts) - len(shown)
    more = [f"… {left_out} more"] if left_out else []
    return f"{brackets[0]}{', '.join([*shown, *more])}{brackets[1]}"


def _fitting(items: Iterable[str], longest: int) -> Iterator[str]:
    """Yield as many items as fit, at least one."""
    taken = 0
    for item in items:
        taken += len(item) + 2
        if taken > longest + 2 and taken > len(item) + 2:
            return
        yield item
