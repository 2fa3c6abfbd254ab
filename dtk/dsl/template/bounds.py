"""What one rendering of a template may use: rounds of loops, calls, and the size of what it makes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator

MOST_ROUNDS = 200_000
"""Rounds of all loops, and calls, of one rendering: more than any file needs, well below a second."""
LARGEST = 4 * 1024 * 1024
"""Characters of a text, items of a list, that a template may make."""
_MOST_BITS = 4096
_WIDTH = re.compile(r"\d{6,}")


class TemplateLimitError(Exception):
    """A template is stopped because it would go on, or grow, without a bound."""


_rounds = [0]


def begin_rendering() -> None:
    """Begin to count anew."""
    _rounds[0] = 0


def count_round() -> None:
    """Count a round of a loop, or a call.

    Raises:
        TemplateLimitError: there were too many.
    """
    _rounds[0] += 1
    if _rounds[0] > MOST_ROUNDS:
        raise TemplateLimitError(f"it takes more than {MOST_ROUNDS:,} rounds of its loops and calls")


def counted(items: Iterable[object]) -> Iterator[object]:
    """Yield the items of a loop, each as one round."""
    for item in items:
        count_round()
        yield item


def check_size(size: int) -> None:
    """Refuse what is too large.

    Raises:
        TemplateLimitError: it is.
    """
    if size > LARGEST:
        raise TemplateLimitError(f"it makes a value of more than {LARGEST:,} characters or items")


def size_of(value: object) -> int:
    """Return the characters of a text, the items of a list; 0 for anything else."""
    return len(value) if isinstance(value, (str, bytes, list, tuple, dict)) else 0


def check_operands(operator: str, left: object, right: object) -> None:
    """Refuse a sum or a product that would be too large."""
    if operator == "+":
        check_size(size_of(left) + size_of(right))
    elif isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MOST_BITS:
        raise TemplateLimitError("it makes a number of more than a thousand digits")


def check_call(function: object, arguments: Iterable[object]) -> None:
    """Refuse a call whose numbers, or texts with widths in them, ask for too large a result, before it is made."""
    own = getattr(function, "__self__", "")
    name = getattr(function, "__name__", "")
    given = [own, *arguments]
    for value in given[1:]:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise TemplateLimitError(f"a call is given {str(value)[:12]}, a number that is too large")
    if "format" in name and any(isinstance(value, str) and _WIDTH.search(value) for value in given):
        raise TemplateLimitError("a format asks for a width that is too large")
    if "replace" in name:
        texts = [len(value) for value in given if isinstance(value, str)]
        check_size(max(texts[:1], default=0) * max(texts[1:], default=0) // 16)


def bounded(function: Callable[..., object]) -> Callable[..., object]:
    """Return a filter or test of Jinja2 within these bounds."""

    @functools.wraps(function)
    def call(*arguments: object, **named: object) -> object:
        count_round()
        check_call(function, [*arguments, *named.values()])
        result = function(*arguments, **named)
        check_size(size_of(result))
        return result

    return call
