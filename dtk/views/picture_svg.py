"""A service's picture as SVG: boxes are right of those they use; groups show their members as squares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TypeGuard

from dtk.events.tree import Status
from dtk.views.formatting import cropped, status_word, width
from dtk.views.graph_text import heading, stage_lines
from dtk.views.markup import Markup, join, tag
from dtk.views.picture import Box, Picture, gravest
from dtk.views.picture_layout import (
    GAP_ROWS,
    HEAD,
    HEAD_CHARACTER,
    PADDING,
    SMALL_CHARACTER,
    SQUARE,
    Placed,
    shown_name,
    squares_in_row,
)
from dtk.views.picture_routes import ArrowWay, layout

SYMBOLS: Mapping[Status, str] = {
    "succeeded": "\u2713",
    "failed": "\u2717",
    "cancelled": "\u25a0",
    "executing": "\u25b6",
    "created": "\u25cb",
}
"""Symbols by status: a status is never shown by color alone."""

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

_NARROWEST_STAGE, _WIDEST_STAGE = 190.0, 310.0
_STAGES_IN_ROW = 4


def picture_svg(picture: Picture, *, standalone: bool = True) -> Markup:
    """Return the picture as an ``svg`` element.

    Args:
        picture: the picture to draw.
        standalone: whether to include styles and a background, for a file; a page includes STYLE itself.
    """
    placed, routes = layout(picture)
    bottom = max((item.y + item.height for item in placed.values()), default=0.0)
    right = max((item.right for item in placed.values()), default=0.0) + 70.0
    stages = list(_stages(picture, bottom + 34.0)) if picture.stages else []
    rows = -(-len(picture.stages) // _STAGES_IN_ROW)
    stage_width = _stage_width(picture)
    stage_height = _stage_height(picture)
    total = bottom + (34.0 + 30.0 + rows * (stage_height + GAP_ROWS) if picture.stages else 0.0) + PADDING
    wide = max(right, min(len(picture.stages), _STAGES_IN_ROW) * (stage_width + 30.0)) + 46.0
    return tag(
        "svg",
        tag("title", picture.title),
        tag("style", Markup(STYLE)) if standalone else None,
        tag("rect", width="100%", height="100%", fill="#f7f9fc") if standalone else None,
        _marker(),
        # Drawn before the boxes: an arrow to a distant box passes behind those in between.
        list(map(_arrow, routes)),
        [_box(item) for item in placed.values()],
        stages,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {wide:.0f} {total:.0f}",
        width=f"{wide:.0f}",
        height=f"{total:.0f}",
        class_="picture",
        role="img",
    )


def _box(item: Placed) -> Markup:
    box = item.box
    status = gravest(box.statuses.values()) if box.statuses else None
    symbol = _symbol(item, status) if status else None
    return tag(
        "g",
        tag("title", _tooltip(box)),
        tag("rect", x=item.x, y=item.y, width=item.width, height=item.height, rx=9.0,
            class_="box" if box.is_node else "box wide"),
        tag("text", shown_name(heading(box)), x=item.x + PADDING, y=item.y + 22.0, class_="head"),
        symbol,
        list(_squares(item)),
        [_component(item, name) for name in box.components],
    )  # fmt: skip


def _symbol(item: Placed, status: Status) -> Markup:
    """Return the status symbol of a box; that of a node links to its step."""
    drawn = tag("text", SYMBOLS[status], x=item.x + item.width - 26.0, y=item.y + 22.0, class_=status)
    return _linked(item.box, item.box.name, drawn)


def _tooltip(box: Box) -> str:
    return ", ".join(f"{node} {status}" for node, status in (box.statuses or {}).items()) or heading(box)


def _squares(item: Placed) -> Iterator[Markup]:
    """Yield a square for each member, with a symbol for every status except success."""
    if not item.box.is_group:
        return
    in_row = squares_in_row(item.box)
    for index, member in enumerate(item.box.members):
        x = item.x + PADDING + (index % in_row) * (SQUARE + 3.0)
        y = item.y + HEAD + (index // in_row) * (SQUARE + 3.0)
        status = item.box.statuses.get(member, "created") if item.box.statuses else None
        title = tag("title", f"{member} {status_word(status)}" if status else member)
        square = tag("rect", title, x=x, y=y, width=SQUARE, height=SQUARE, rx=2.5, class_=status or "tip")
        symbol = tag("text", SYMBOLS[status], x=x + 1.6, y=y + 9.2, class_="sign") if _has_sign(status) else None
        yield _linked(item.box, member, square, symbol)


def _has_sign(status: Status | None) -> TypeGuard[Status]:
    """Return whether a square has a symbol: color alone must not show a status, except for success."""
    return status is not None and status != "succeeded"


def _linked(box: Box, node: str, *drawn: Markup | None) -> Markup:
    """Return drawn elements of a node, linked to its step if the surrounding page has one."""
    return tag("a", *drawn, href=f"#step-{box.steps[node]}") if box.steps and node in box.steps else join(*drawn)


def _component(item: Placed, name: str) -> Markup:
    middle = item.row(name)
    rect = tag("rect", x=item.x + 8.0, y=middle - 11.0, width=item.width - 16.0, height=22.0, rx=5.0, class_="part")
    text = tag("text", shown_name(name), tag("title", name), x=item.x + PADDING + 2.0, y=middle + 4.2, class_="name")
    return join(rect, text)


def _marker() -> Markup:
    tip = tag("path", d="M0 0 L8 4 L0 8 z", class_="tip")
    sizes = {"markerWidth": "8", "markerHeight": "8", "refX": "7", "refY": "4"}
    dot = tag("circle", cx="3", cy="3", r="2.6", class_="tip")
    dot_sizes = {"markerWidth": "6", "markerHeight": "6", "refX": "3", "refY": "3"}
    return tag(
        "defs",
        tag("marker", tip, id="tip", orient="auto-start-reverse", markerUnits="userSpaceOnUse", **sizes),
        tag("marker", dot, id="start", markerUnits="userSpaceOnUse", **dot_sizes),
    )


def _arrow(route: ArrowWay) -> Markup:
    """Return an arrow, with a dot at its start and a tip at its end."""
    title = tag("title", f"{'/'.join(route.arrow.user)} uses {'/'.join(route.arrow.used)}")
    return tag("path", title, d=route.path, class_="arrow", marker_start="url(#start)", marker_end="url(#tip)")


def _stage_height(picture: Picture) -> float:
    return max((len(stage.lines) for stage in picture.stages), default=0) * 17.0 + 36.0


def _stages(picture: Picture, top: float) -> Iterator[Markup]:
    """Yield the stages as cards in reading order, each with an arrow from the previous one."""
    yield tag("text", "Stages", x=PADDING, y=top + 12.0, class_="head")
    height, wide = _stage_height(picture), _stage_width(picture)
    points: list[tuple[float, float]] = []
    for index, stage in enumerate(picture.stages):
        x = PADDING + (index % _STAGES_IN_ROW) * (wide + 30.0)
        y = top + 30.0 + (index // _STAGES_IN_ROW) * (height + GAP_ROWS)
        points.append((x, y))
        name, *lines = stage_lines(stage)
        yield tag("rect", x=x, y=y, width=wide, height=height, rx=8.0, class_="box")
        shown = _fitting(name, wide, HEAD_CHARACTER)
        yield tag("text", shown, tag("title", name), x=x + 12.0, y=y + 21.0, class_="head")
        for number, line in enumerate(lines):
            shown = _fitting(line, wide, SMALL_CHARACTER)
            yield tag("text", shown, tag("title", line), x=x + 12.0, y=y + 40.0 + 17.0 * number, class_="quiet")
    for (x, y), (next_x, next_y) in pairwise(points):
        if next_y == y:
            path = f"M{x + wide:.1f} {y + 18:.1f} L{next_x - 1:.1f} {y + 18:.1f}"
            yield tag("path", d=path, class_="arrow", marker_end="url(#tip)")


def _stage_width(picture: Picture) -> float:
    """Return the width of all stages: that of the longest text, within limits."""
    texts = [list(stage_lines(stage)) for stage in picture.stages]
    heads = max((width(name) * HEAD_CHARACTER for name, *_ in texts), default=0.0)
    lines = max((width(line) * SMALL_CHARACTER for _, *rest in texts for line in rest), default=0.0)
    return min(max(heads + 26.0, lines + 26.0, _NARROWEST_STAGE), _WIDEST_STAGE)


def _fitting(text: str, wide: float, character: float) -> str:
    most = int((wide - 22.0) / character)
    return text if width(text) <= most else cropped(text, most - 1) + "\u2026"
