"""Builds HTML and SVG from elements; texts are always escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from typing import TypeAlias

from dtk.views.formatting import harmless

_VOID = frozenset({"meta", "link", "br", "hr", "img"})
_XML_INVALID = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Markup(str):
    """Text that is already markup."""

    __slots__ = ()


Child: TypeAlias = "str | Iterable[Child] | None"


def tag(name: str, /, *children: Child, **attributes: str | float | bool | None) -> Markup:
    """Return an element.

    Args:
        name: the name of the element.
        children: texts (escaped, without control characters), elements, None, or iterables of these.
        attributes: ``class_`` and ``stroke_width`` become ``class`` and ``stroke-width``; None and False are omitted,
            True is written without a value.
    """
    written = "".join(map(_attribute, attributes, attributes.values()))
    if name in _VOID:
        return Markup(f"<{name}{written}>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Return the concatenation of elements and texts."""
    return Markup("".join(map(_child, children)))


def _child(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, str):
        return escape(clean(child))
    return "".join(map(_child, child))


def _attribute(name: str, value: str | float | bool | None) -> str:
    if value is None or value is False:
        return ""
    written = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {written}"
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
    return f' {written}="{escape(clean(text))}"'


def clean(text: str) -> str:
    """Return text without escape sequences and without the characters that XML does not allow."""
    return _XML_INVALID.sub("", harmless(text))
