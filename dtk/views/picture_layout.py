"""The layout of a picture's boxes: a component's box is right of those it uses, as wide as its text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dtk.views.formatting import cropped, width
from dtk.views.graph_text import heading
from dtk.views.picture import Box, Picture

_CHARACTER = 7.3
"""Width of a monospaced character at 12 px, in pixels; browsers differ by less than the padding."""
HEAD_CHARACTER = 8.7
"""Average width of a bold proportional character at 13 px, in pixels, for the widest fonts that browsers use."""
SMALL_CHARACTER = 7.2
"""Average width of a proportional character at 12 px, in pixels, likewise."""
PADDING = 14.0
HEAD = 34.0
ROW = 26.0
SQUARE = 11.0
SQUARES_IN_ROW = 24
_MANY_SQUARES = 360
"""With at least this many members, rows are twice as long, so that a thousand members fit on a screen."""
GAP_COLUMNS = 110.0
GAP_ROWS = 22.0
_TALLEST_COLUMN = 10
"""Maximum number of boxes in a column before the next one begins."""
_COLUMNS = 4
"""Number of columns if there are no arrows to order the boxes by."""
_LONGEST_NAME = 44


@dataclass(frozen=True)
class Placed:
    """A box with its position and size, in pixels."""

    box: Box
    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """The x coordinate of the right edge."""
        return self.x + self.width

    def row(self, component: str) -> float:
        """Return the y coordinate of the middle of a component's row."""
        top = self.y + HEAD + squares_height(self.box)
        return top + ROW * self.box.components.index(component) + ROW / 2 - 2


def place(picture: Picture, above: float) -> dict[str, Placed]:
    """Return the boxes with their positions, with ``above`` pixels of space above them."""
    columns: dict[int, list[Box]] = {}
    ranks = _ranks(picture)
    for box in picture.boxes:
        columns.setdefault(ranks[box.name], []).append(box)
    placed: dict[str, Placed] = {}
    x = PADDING
    for rank in sorted(columns):
        boxes = columns[rank]
        tallest = _TALLEST_COLUMN if picture.arrows else -(-len(boxes) // _COLUMNS)
        for start in range(0, len(boxes), tallest):
            x = _place_column(boxes[start : start + tallest], x, placed, PADDING + above)
        x += GAP_COLUMNS - 36.0
    return placed


def _place_column(boxes: Sequence[Box], x: float, placed: dict[str, Placed], y: float) -> float:
    """Place boxes below one another; return the x coordinate of the next column."""
    wide = max(map(_width, boxes))
    for box in boxes:
        placed[box.name] = Placed(box, x, y, wide, _height(box))
        y += _height(box) + GAP_ROWS
    return x + wide + 36.0


def _ranks(picture: Picture) -> dict[str, int]:
    """Return each box's column number; boxes that use no other box are in the first column."""
    uses: dict[str, set[str]] = {box.name: set() for box in picture.boxes}
    for arrow in picture.arrows:
        if arrow.user[0] != arrow.used[0] and {arrow.user[0], arrow.used[0]} <= uses.keys():
            uses[arrow.user[0]].add(arrow.used[0])
    ranks: dict[str, int] = {}

    def rank(name: str, above: frozenset[str]) -> int:
        # Nodes may use each other in a cycle: ignore the boxes that are being ranked already.
        if name not in ranks:
            found = [rank(used, above | {name}) + 1 for used in sorted(uses[name]) if used not in above | {name}]
            ranks[name] = max(found, default=0)
        return ranks[name]

    return {box.name: rank(box.name, frozenset()) for box in picture.boxes}


def _width(box: Box) -> float:
    names = max([width(shown_name(name)) for name in box.components] + [16]) * _CHARACTER + 14.0
    head = width(shown_name(heading(box))) * HEAD_CHARACTER + 26.0
    squares = min(len(box.members), squares_in_row(box)) * (SQUARE + 3.0) if box.is_group else 0.0
    return max(names, head, squares) + 2 * PADDING


def _height(box: Box) -> float:
    return HEAD + squares_height(box) + ROW * len(box.components) + 8.0


def squares_in_row(box: Box) -> int:
    """Return how many of a group's members are drawn in a row."""
    return SQUARES_IN_ROW * (2 if len(box.members) >= _MANY_SQUARES else 1)


def squares_height(box: Box) -> float:
    """Return the height of a group's members, in pixels."""
    rows = -(-len(box.members) // squares_in_row(box)) if box.is_group else 0
    return rows * (SQUARE + 3.0) + (8.0 if rows else 0.0)


def shown_name(name: str) -> str:
    """Return a name, shortened to fit in a box; its tooltip has the full name."""
    return name if width(name) <= _LONGEST_NAME else cropped(name, _LONGEST_NAME - 1) + "\u2026"
