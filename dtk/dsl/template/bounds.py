"""Resource limits for rendering a template: loop iterations, calls, and the size of results."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from dtk.dsl.template.derived import report_call

MOST_ROUNDS = 200_000
"""Loop iterations plus calls per rendering: more than any file needs, and well below a second."""
LARGEST = 4 * 1024 * 1024
"""Maximum characters of a text, or items of a list, that a template may produce."""
_MOST_BITS = 4096
_REPLACED_TEXTS = 3
"""The arguments of a replacement: the text, the text to find, the new text."""
_WIDTH = re.compile(r"\d{6,}")


class TemplateLimitError(Exception):
    """A template exceeds its limits on iterations or size."""


_rounds = [0]


def begin_rendering() -> None:
    """Reset the counter."""
    _rounds[0] = 0


def count_round() -> None:
    """Count a loop iteration or a call.

    Raises:
        TemplateLimitError: there were too many.
    """
    _rounds[0] += 1
    if _rounds[0] > MOST_ROUNDS:
        raise TemplateLimitError(f"it runs more than {MOST_ROUNDS:,} iterations of loops and calls")


def counted(items: Iterable[object]) -> Iterator[object]:
    """Yield the items of a loop, counting each as an iteration."""
    for item in items:
        count_round()
        yield item


def check_size(size: int) -> None:
    """Refuse a size above the limit.

    Raises:
        TemplateLimitError: the size is above the limit.
    """
    if size > LARGEST:
        raise TemplateLimitError(f"it creates a value with more than {LARGEST:,} characters or items")


def size_of(value: object) -> int:
    """Return the number of characters of a text, or of items of a list; 0 for anything else."""
    return len(value) if isinstance(value, (str, bytes, list, tuple, dict)) else 0


def check_operands(operator: str, left: object, right: object) -> None:
    """Refuse a sum or a product with too large a result."""
    if operator == "+":
        check_size(size_of(left) + size_of(right))
    elif isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _MOST_BITS:
        raise TemplateLimitError("it computes a number with more than a thousand digits")


def check_call(function: object, arguments: Iterable[object]) -> None:
    """Refuse a call whose numbers or format widths would give too large a result, before it is made."""
    # The sandbox wraps a text's own format in a function that does not reveal its owner.
    bound = getattr(function, "__wrapped__", function)
    own = getattr(bound, "__self__", None)
    name = getattr(function, "__name__", "")
    given = list(arguments)
    for value in given:
        if isinstance(value, int) and abs(value) > LARGEST:
            raise TemplateLimitError(f"a call has an argument that is too large: {str(value)[:12]}")
    texts = [value for value in (own, *given) if isinstance(value, str)]
    if "format" in name and any(_WIDTH.search(text) for text in texts):
        raise TemplateLimitError("a format specifies a width that is too large")
    if "replace" in name and len(texts) >= _REPLACED_TEXTS:
        whole, old, new = texts[:_REPLACED_TEXTS]
        check_size(len(whole) + whole.count(old) * len(new))


def with_joined_items(
    function: object, arguments: tuple[object, ...], named: Mapping[str, object]
) -> tuple[object, ...]:
    """Return a call's arguments; for a join (Python's or Jinja2's), first check the size of the result."""
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
    """Wrap a Jinja2 filter so that these limits apply and its calls are reported."""

    @functools.wraps(function)
    def call(*arguments: object, **named: object) -> object:
        count_round()
        check_call(function, [*arguments, *named.values()])
        result = function(*with_joined_items(function, arguments, named), **named)
        check_size(size_of(result))
        report_call((*arguments, *named.values()), result)
        return result

    return call
