"""What one rendering of a template may use: rounds of loops, calls, and the size of what it makes."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

MOST_ROUNDS = 200_000
"""Rounds of all loops, and calls, of one rendering: more than any file needs, well below a second."""
LARGEST = 4 * 1024 * 1024
"""Characters of a text, items of a list, that a template may make."""
_MOST_BITS = 4096
_REPLACED_TEXTS = 3
"""What a replacement takes: the text, what to look for, what to put there."""
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
    # The sandbox wraps a text's own format in a function that no longer says whose it is.
    bound = getattr(function, "__wrapped__", function)
    own = getattr(bound, "__self__", None)
    name = getattr(function, "__name__", "")
    given = list(arguments)
    for value in given:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise TemplateLimitError(f"a call is given {str(value)[:12]}, a number that is too large")
    texts = [value for value in (own, *given) if isinstance(value, str)]
    if "format" in name and any(_WIDTH.search(text) for text in texts):
        raise TemplateLimitError("a format asks for a width that is too large")
    if "replace" in name and len(texts) >= _REPLACED_TEXTS:
        whole, old, new = texts[:_REPLACED_TEXTS]
        check_size(len(whole) + whole.count(old) * len(new))


def with_joined_items(
    function: object, arguments: tuple[object, ...], named: Mapping[str, object]
) -> tuple[object, ...]:
    """Return a call's arguments; those of a join, Python's or Jinja2's, with its items counted before it is made."""
    name, own = getattr(function, "__name__", ""), getattr(function, "__self__", None)
    if name == "join" and isinstance(own, str) and arguments:
        return (_joinable(arguments[0], own), *arguments[1:])
    if name == "do_join" and len(arguments) > 1:
        context, items, *others = arguments
        return (context, _joinable(items, others[0] if others else named.get("d", "")), *others)
    return arguments


def _joinable(items: object, separator: object) -> object:
    if not isinstance(items, Iterable):
        return items
    found = list(counted(items))
    check_size(sum(map(size_of, found)) + len(found) * size_of(separator))
    return found


def bounded(function: Callable[..., object]) -> Callable[..., object]:
    """Return a filter or test of Jinja2 within these bounds."""

    @functools.wraps(function)
    def call(*arguments: object, **named: object) -> object:
        count_round()
        check_call(function, [*arguments, *named.values()])
        result = function(*with_joined_items(function, arguments, named), **named)
        check_size(size_of(result))
        return result

    return call
