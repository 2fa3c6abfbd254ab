"""A service's picture as SVG: what is used stands left of what uses it, groups show their members as squares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeGuard

from dtk.events.tree import Status
from dtk.views.formatting import cropped, status_word, width
from dtk.views.graph_text import heading, stage_lines
from dtk.views.markup import Markup, join, tag
from dtk.views.picture import Arrow, Box, Picture, gravest

SYMBOLS: Mapping[Status, str] = {
    "succeeded": "\u2713",
    "failed": "\u2717",
    "cancelled": "\u25a0",
    "executing": "\u25b6",
    "created": "\u25cb",
}
"""A status is never a colour alone."""

STYLE = """
.picture { font: 13px/1.3 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
.picture .box { fill: var(--panel, #fff); stroke: var(--line, #c9d1dc); stroke-width: 1.2; }
.picture .wide { stroke-dasharray: 5 4; }
.picture .head { font-weight: 650; fill: var(--ink, #1b2430); }
.picture .part { fill: var(--chip, #eef2f7); }
.picture .name { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.picture text { fill: var(--ink, #1b2430); }
.picture .quiet { fill: var(--quiet, #5d6b7e); font-size: 12px; }
.picture .arrow { fill: none; stroke: var(--accent, #4c6fff); stroke-width: 1.5; opacity: .75; }
.picture .tip { fill: var(--accent, #4c6fff); }
.picture .succeeded { fill: var(--succeeded, #1a8f5a); }
.picture .failed { fill: var(--failed, #cf2f45); }
.picture .cancelled { fill: var(--cancelled, #b26a00); }
.picture .executing { fill: var(--executing, #1f6feb); }
.picture .created { fill: var(--created, #aab4c2); }
.picture .sign { font-size: 9px; fill: #fff; pointer-events: none; }
.picture a:hover rect, .picture a:focus rect { stroke: var(--ring, #18202b); stroke-width: 2; }
"""

_CHARACTER = 7.3
"""Pixels of a monospaced character at 12 px; browsers differ by less than the padding."""
_NARROW_CHARACTER = 6.4
"""Pixels of a proportional character at 12 px, on average."""
_PADDING = 14.0
_HEAD = 34.0
_ROW = 26.0
_SQUARE = 11.0
_SQUARES_IN_ROW = 24
_MANY_SQUARES = 360
"""Members from which on a row has twice as many: a thousand are to fit a screen."""
_GAP_COLUMNS = 110.0
_GAP_ROWS = 22.0
_TALLEST_COLUMN = 10
"""Boxes in a column before another one is begun beside it."""
_COLUMNS = 4
"""Columns of boxes that nothing is known about that would order them."""
_LONGEST_NAME = 44
_STAGE_WIDTH = 236.0
_STAGES_IN_ROW = 4


@dataclass(frozen=True)
class _Placed:
    """A box with its place."""

    box: Box
    x: float
    y: float
    width: float
    height: float

    def row(self, component: str) -> float:
        """Return the middle of a component's row."""
        top = self.y + _HEAD + _squares_height(self.box)
        return top + _ROW * self.box.components.index(component) + _ROW / 2 - 2


def picture_svg(picture: Picture, *, standalone: bool = True) -> Markup:
    """Return the picture as an ``svg`` element.

    Args:
        picture: what to draw.
        standalone: with its own styles and a background, for a file; without them for a page that has STYLE in its own.
    """
    placed = _place(picture)
    bottom = max((item.y + item.height for item in placed.values()), default=0.0)
    right = max((item.x + item.width for item in placed.values()), default=0.0)
    stages = list(_stages(picture, bottom + 34.0)) if picture.stages else []
    rows = -(-len(picture.stages) // _STAGES_IN_ROW)
    stage_height = _stage_height(picture)
    total = bottom + (34.0 + 30.0 + rows * (stage_height + _GAP_ROWS) if picture.stages else 0.0) + _PADDING
    wide = max(right, min(len(picture.stages), _STAGES_IN_ROW) * (_STAGE_WIDTH + 30.0)) + 46.0
    return tag(
        "svg",
        tag("title", picture.title),
        tag("style", Markup(STYLE)) if standalone else None,
        tag("rect", width="100%", height="100%", fill="#f7f9fc") if standalone else None,
        _marker(),
        # Below the boxes: an arrow to a far one passes behind those between.
        [_arrow(arrow, placed) for arrow in picture.arrows if _is_drawn(arrow, placed)],
        [_box(item) for item in placed.values()],
        stages,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {wide:.0f} {total:.0f}",
        width=f"{wide:.0f}",
        height=f"{total:.0f}",
        class_="picture",
        role="img",
    )


def _place(picture: Picture) -> dict[str, _Placed]:
    columns: dict[int, list[Box]] = {}
    ranks = _ranks(picture)
    for box in picture.boxes:
        columns.setdefault(ranks[box.name], []).append(box)
    placed: dict[str, _Placed] = {}
    x = _PADDING
    for rank in sorted(columns):
        boxes = columns[rank]
        tallest = _TALLEST_COLUMN if picture.arrows else -(-len(boxes) // _COLUMNS)
        for start in range(0, len(boxes), tallest):
            x = _place_column(boxes[start : start + tallest], x, placed)
        x += _GAP_COLUMNS - 36.0
    return placed


def _place_column(boxes: Sequence[Box], x: float, placed: dict[str, _Placed]) -> float:
    """Place boxes below one another; return where the next column may begin."""
    wide = max(map(_width, boxes))
    y = _PADDING
    for box in boxes:
        placed[box.name] = _Placed(box, x, y, wide, _height(box))
        y += _height(box) + _GAP_ROWS
    return x + wide + 36.0


def _ranks(picture: Picture) -> dict[str, int]:
    """Return each box's column: what uses nothing in another box stands in the first."""
    uses: dict[str, set[str]] = {box.name: set() for box in picture.boxes}
    for arrow in picture.arrows:
        if arrow.user[0] != arrow.used[0] and {arrow.user[0], arrow.used[0]} <= uses.keys():
            uses[arrow.user[0]].add(arrow.used[0])
    ranks: dict[str, int] = {}

    def rank(name: str, above: frozenset[str]) -> int:
        # Nodes may use each other in a circle: what is being asked already counts as used by nobody.
        if name not in ranks:
            found = [rank(used, above | {name}) + 1 for used in sorted(uses[name]) if used not in above | {name}]
            ranks[name] = max(found, default=0)
        return ranks[name]

    return {box.name: rank(box.name, frozenset()) for box in picture.boxes}


def _width(box: Box) -> float:
    text = max([width(_shown(name)) for name in box.components] + [width(heading(box)) + 4, 16])
    squares = min(len(box.members), _squares_in_row(box)) * (_SQUARE + 3.0) if box.is_group else 0.0
    return max(text * _CHARACTER + 2 * _PADDING + 14.0, squares + 2 * _PADDING)


def _height(box: Box) -> float:
    return _HEAD + _squares_height(box) + _ROW * len(box.components) + 8.0


def _squares_in_row(box: Box) -> int:
    return _SQUARES_IN_ROW * (2 if len(box.members) >= _MANY_SQUARES else 1)


def _squares_height(box: Box) -> float:
    rows = -(-len(box.members) // _squares_in_row(box)) if box.is_group else 0
    return rows * (_SQUARE + 3.0) + (8.0 if rows else 0.0)


def _shown(name: str) -> str:
    return name if width(name) <= _LONGEST_NAME else cropped(name, _LONGEST_NAME - 1) + "\u2026"


def _box(item: _Placed) -> Markup:
    box = item.box
    status = gravest(box.statuses.values()) if box.statuses else None
    symbol = _symbol(item, status) if status else None
    return tag(
        "g",
        tag("title", _tooltip(box)),
        tag("rect", x=item.x, y=item.y, width=item.width, height=item.height, rx=9.0,
            class_="box" if box.is_node else "box wide"),
        tag("text", heading(box), x=item.x + _PADDING, y=item.y + 22.0, class_="head"),
        symbol,
        list(_squares(item)),
        [_component(item, name) for name in box.components],
    )  # fmt: skip


def _symbol(item: _Placed, status: Status) -> Markup:
    """Return a box's status; that of a node leads to its step."""
    drawn = tag("text", SYMBOLS[status], x=item.x + item.width - 26.0, y=item.y + 22.0, class_=status)
    return _linked(item.box, item.box.name, drawn)


def _tooltip(box: Box) -> str:
    return ", ".join(f"{node} {status}" for node, status in (box.statuses or {}).items()) or heading(box)


def _squares(item: _Placed) -> Iterator[Markup]:
    """Yield a square for each member; a failed one is crossed, one that was not begun is hollow."""
    if not item.box.is_group:
        return
    in_row = _squares_in_row(item.box)
    for index, member in enumerate(item.box.members):
        x = item.x + _PADDING + (index % in_row) * (_SQUARE + 3.0)
        y = item.y + _HEAD + (index // in_row) * (_SQUARE + 3.0)
        status = item.box.statuses.get(member, "created") if item.box.statuses else None
        title = tag("title", f"{member} {status_word(status)}" if status else member)
        square = tag("rect", title, x=x, y=y, width=_SQUARE, height=_SQUARE, rx=2.5, class_=status or "tip")
        symbol = tag("text", SYMBOLS[status], x=x + 1.6, y=y + 9.2, class_="sign") if _has_sign(status) else None
        yield _linked(item.box, member, square, symbol)


def _has_sign(status: Status | None) -> TypeGuard[Status]:
    """Say whether a square has a sign in it: a status is never a colour alone, and what went well is told by none."""
    return status is not None and status != "succeeded"


def _linked(box: Box, node: str, *drawn: Markup | None) -> Markup:
    """Return what is drawn of a node, as a link to its step where the page around it has one."""
    return tag("a", *drawn, href=f"#step-{box.steps[node]}") if box.steps and node in box.steps else join(*drawn)


def _component(item: _Placed, name: str) -> Markup:
    middle = item.row(name)
    rect = tag("rect", x=item.x + 8.0, y=middle - 11.0, width=item.width - 16.0, height=22.0, rx=5.0, class_="part")
    text = tag("text", _shown(name), tag("title", name), x=item.x + _PADDING + 2.0, y=middle + 4.2, class_="name")
    return join(rect, text)


def _marker() -> Markup:
    tip = tag("path", d="M0 0 L8 4 L0 8 z", class_="tip")
    sizes = {"markerWidth": "8", "markerHeight": "8", "refX": "7", "refY": "4"}
    return tag("defs", tag("marker", tip, id="tip", orient="auto-start-reverse", markerUnits="userSpaceOnUse", **sizes))


def _is_drawn(arrow: Arrow, placed: Mapping[str, _Placed]) -> bool:
    return all(box in placed and component in placed[box].box.components for box, component in (arrow.user, arrow.used))


def _arrow(arrow: Arrow, placed: Mapping[str, _Placed]) -> Markup:
    user, used = placed[arrow.user[0]], placed[arrow.used[0]]
    start_y, end_y = user.row(arrow.user[1]), used.row(arrow.used[1])
    user_right, used_right = user.x + user.width, used.x + used.width
    if user.x > used_right:
        bend = (user.x - used_right) / 2
        path = _curve(user.x, start_y, user.x - bend, used_right + bend, used_right, end_y)
    elif used.x > user_right:
        bend = (used.x - user_right) / 2
        path = _curve(user_right, start_y, user_right + bend, used.x - bend, used.x, end_y)
    else:
        far = max(user_right, used_right) + 26.0
        path = _curve(user_right, start_y, far, far, used_right, end_y)
    title = tag("title", f"{'/'.join(arrow.user)} uses {'/'.join(arrow.used)}")
    return tag("path", title, d=path, class_="arrow", marker_end="url(#tip)")


def _curve(start_x: float, start_y: float, first_x: float, second_x: float, end_x: float, end_y: float) -> str:
    """Return a curve that leaves and arrives level; its control points lie at the two given x."""
    points = ((first_x, start_y), (second_x, end_y), (end_x, end_y))
    return f"M{start_x:.1f} {start_y:.1f} C" + " ".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _stage_height(picture: Picture) -> float:
    return max((len(stage.lines) for stage in picture.stages), default=0) * 17.0 + 36.0


def _stages(picture: Picture, top: float) -> Iterator[Markup]:
    """Yield the stages as cards in reading order, each with an arrow from the one before."""
    yield tag("text", "Stages", x=_PADDING, y=top + 12.0, class_="head")
    height = _stage_height(picture)
    points: list[tuple[float, float]] = []
    for index, stage in enumerate(picture.stages):
        x = _PADDING + (index % _STAGES_IN_ROW) * (_STAGE_WIDTH + 30.0)
        y = top + 30.0 + (index // _STAGES_IN_ROW) * (height + _GAP_ROWS)
        points.append((x, y))
        name, *lines = stage_lines(stage)
        yield tag("rect", x=x, y=y, width=_STAGE_WIDTH, height=height, rx=8.0, class_="box")
        yield tag("text", _fitting(name), tag("title", name), x=x + 12.0, y=y + 21.0, class_="head")
        for number, line in enumerate(lines):
            yield tag(
                "text", _fitting(line), tag("title", line), x=x + 12.0, y=y + 40.0 + 17.0 * number, class_="quiet"
            )
    for (x, y), (next_x, next_y) in pairwise(points):
        if next_y == y:
            path = f"M{x + _STAGE_WIDTH:.1f} {y + 18:.1f} L{next_x - 1:.1f} {y + 18:.1f}"
            yield tag("path", d=path, class_="arrow", marker_end="url(#tip)")


def _fitting(text: str) -> str:
    most = int(_STAGE_WIDTH / _NARROW_CHARACTER) - 4
    return text if width(text) <= most else cropped(text, most - 1) + "\u2026"
