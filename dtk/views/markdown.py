"""Embeds text from files and nodes in Markdown, so that nothing in it acts as markup."""

from __future__ import annotations

import html

from dtk.views.formatting import harmless

_SPECIAL = str.maketrans({character: f"\\{character}" for character in r"\`*_[]|~#"})


def cell(value: str) -> str:
    """Return text for a table cell or as part of a line."""
    return html.escape(" ".join(harmless(value).split()), quote=False).translate(_SPECIAL)


def pre(text: str) -> str:
    """Return text as a preformatted block."""
    return f"<pre>{html.escape(harmless(text).strip(chr(10)), quote=False)}</pre>"
