"""The table format of all listings."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence

from dtk.views.formatting import one_line, padded, width

EMPTY_LIST = "Message: List is empty.\n"


def format_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return rows as the original's table, ending with a newline; an empty list gives a message.

    Source: docs/original.md 3.1 (without resizing or transposing).

    Args:
        headers: column names, printed in upper case with ``_`` as a space.
        rows: a cell per column; None is blank, True and False are printed in lower case. Leading blanks of a text are
            kept as indentation.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    return render_cells(headers, cells) if cells else EMPTY_LIST


def stable_id(*names: str) -> str:
    """Return the number of a row for the ID column; it depends only on the names, not on the other rows."""
    return str(zlib.crc32("\0".join(names).encode()))


def status_text(status: str, *, is_adopted: bool) -> str:
    """Return a machine's status, and whether dtk only adopted it, for the column OP STATUS."""
    return f"{status}, adopted" if is_adopted else status


def render_cells(
    headers: Sequence[str], cells: Sequence[Sequence[str]], paint: Callable[[str, str], str] | None = None
) -> str:
    """Return rows of formatted texts as a table.

    ``paint`` gets a cell's text and its padded text, and returns the padded text in the color of the cell: escape
    sequences added before the padding would count as columns.
    """
    titles = [header.replace("_", " ").upper() for header in headers]
    widths = [max(map(width, column)) for column in zip(titles, *cells, strict=True)]
    border = "".join(f"+{'-' * (columns + 2)}" for columns in widths) + "+\n"
    lines = [_line(row, widths, paint) for row in cells]
    footer = "1 row in set" if len(cells) == 1 else f"{len(cells)} rows in set"
    return "".join([border, _line(titles, widths), border, *lines, border, footer, "\n"])


def _line(cells: Sequence[str], widths: Sequence[int], paint: Callable[[str, str], str] | None = None) -> str:
    filled = [padded(cell, columns) for cell, columns in zip(cells, widths, strict=True)]
    painted = [paint(cell, text) for cell, text in zip(cells, filled, strict=True)] if paint else filled
    return "".join(f"| {text} " for text in painted) + "|\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    indentation = len(text) - len(text.lstrip(" "))
    return " " * indentation + one_line(text)
