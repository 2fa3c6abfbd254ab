"""Text from files and nodes in Markdown: nothing in it acts as markup."""

from __future__ import annotations

import html

from dtk.views.formatting import harmless

_SPECIAL = str.maketrans({character: f"\\{character}" for character in r"\`*_[]|~#"})


def cell(value: str) -> str:
    """Return text as a table's cell or a part of a line."""
    return html.escape(" ".join(harmless(value).split()), quote=False).translate(_SPECIAL)


def pre(text: str) -> str:
    """Return text as it is, line by line."""
    return f"<pre>{html.escape(harmless(text).strip(chr(10)), quote=False)}</pre>"
