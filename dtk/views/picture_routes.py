"""The routes of a picture's arrows: around boxes in between, separate from each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dtk.views.picture import Arrow, Picture
from dtk.views.picture_layout import GAP_COLUMNS, PADDING, Placed, place

LANE = 8.0
"""Pixels between two routes above the boxes."""
MOST_LANES = 12
_BEND = 16.0
_SPREAD = 7.0
"""Maximum distance of an arrow's end from the middle of its component's row, in pixels."""
Point = tuple[float, float]


@dataclass(frozen=True)
class ArrowWay:
    """An arrow with its route as an SVG path."""

    arrow: Arrow
    path: str


@dataclass(frozen=True)
class _Ends:
    """The start and end of an arrow, and the sides of the boxes they are on: -1 left, 1 right."""

    arrow: Arrow
    user: Placed
    used: Placed
    user_side: int
    used_side: int


def layout(picture: Picture) -> tuple[dict[str, Placed], list[ArrowWay]]:
    """Return the boxes with their positions, and the routes of the arrows between them."""
    placed = place(picture, 0.0)
    ends = [_ends(arrow, placed) for arrow in picture.arrows if _is_drawn(arrow, placed)]
    lanes = min(sum(_is_barred(end, placed.values()) for end in ends), MOST_LANES)
    placed = place(picture, lanes * LANE)
    ends = [_ends(arrow, placed) for arrow in picture.arrows if _is_drawn(arrow, placed)]
    return placed, list(_routes(ends, placed))


def _is_drawn(arrow: Arrow, placed: Mapping[str, Placed]) -> bool:
    return all(box in placed and component in placed[box].box.components for box, component in (arrow.user, arrow.used))


def _ends(arrow: Arrow, placed: Mapping[str, Placed]) -> _Ends:
    user, used = placed[arrow.user[0]], placed[arrow.used[0]]
    if user.x > used.right:
        return _Ends(arrow, user, used, -1, 1)
    if used.x > user.right:
        return _Ends(arrow, user, used, 1, -1)
    return _Ends(arrow, user, used, 1, 1)


def _is_barred(ends: _Ends, boxes: Iterable[Placed]) -> bool:
    """Return whether a box is in the direct route of an arrow, which would then seem to start at that box."""
    left, right = sorted((ends.user, ends.used), key=lambda box: box.x)
    top, bottom = sorted((ends.user.row(ends.arrow.user[1]), ends.used.row(ends.arrow.used[1])))
    between = (box for box in boxes if left.right < box.x and box.right < right.x)
    return any(box.y < bottom + _BEND and box.y + box.height > top - _BEND for box in between)


def _routes(all_ends: Sequence[_Ends], placed: Mapping[str, Placed]) -> Iterator[ArrowWay]:
    points = _points(all_ends)
    bends = _bends(all_ends)
    lane = 0
    for number, ends in enumerate(all_ends):
        start, end = points[number]
        if ends.user_side == ends.used_side:
            far = max(ends.user.right, ends.used.right) + bends[number]
            path = _curve(start, (far, start[1]), (far, end[1]), end)
        elif _is_barred(ends, placed.values()):
            path = _over(start, end, ends.user_side, PADDING / 2 + lane % MOST_LANES * LANE)
            lane += 1
        else:
            bend = abs(end[0] - start[0]) / 2 * ends.user_side
            path = _curve(start, (start[0] + bend, start[1]), (end[0] - bend, end[1]), end)
        yield ArrowWay(ends.arrow, path)


def _points(all_ends: Sequence[_Ends]) -> dict[int, tuple[Point, Point]]:
    """Return the start and end of each arrow; those at one component are spread, sorted by where they lead."""
    rows: dict[tuple[str, str, int], list[tuple[float, int, bool]]] = defaultdict(list)
    for number, ends in enumerate(all_ends):
        user_y, used_y = ends.user.row(ends.arrow.user[1]), ends.used.row(ends.arrow.used[1])
        rows[*ends.arrow.user, ends.user_side].append((used_y, number, True))
        rows[*ends.arrow.used, ends.used_side].append((user_y, number, False))
    offsets: dict[tuple[int, bool], float] = {}
    for found in rows.values():
        for position, (_, number, begins) in enumerate(sorted(found)):
            share = position / (len(found) - 1) - 0.5 if len(found) > 1 else 0.0
            offsets[number, begins] = share * min(2 * _SPREAD, 4.0 * (len(found) - 1))
    return {
        number: (
            (_side(ends.user, ends.user_side), ends.user.row(ends.arrow.user[1]) + offsets[number, True]),
            (_side(ends.used, ends.used_side), ends.used.row(ends.arrow.used[1]) + offsets[number, False]),
        )
        for number, ends in enumerate(all_ends)
    }


def _side(box: Placed, side: int) -> float:
    return box.right if side > 0 else box.x


def _bends(all_ends: Sequence[_Ends]) -> dict[int, float]:
    """Return how far each arrow between boxes of one column bends out: longer ones farther, none the same."""
    columns: dict[float, list[tuple[float, int]]] = defaultdict(list)
    for number, ends in enumerate(all_ends):
        if ends.user_side == ends.used_side:
            span = abs(ends.user.row(ends.arrow.user[1]) - ends.used.row(ends.arrow.used[1]))
            columns[ends.user.x].append((span, number))
    most = GAP_COLUMNS - 2 * _BEND
    return {
        number: _BEND + position * min(9.0, most / len(found))
        for found in columns.values()
        for position, (_, number) in enumerate(sorted(found))
    }


def _over(start: Point, end: Point, side: int, height: float) -> str:
    """Return a route that leaves a box, runs above all boxes, and comes down before the other box."""
    near, far = side * GAP_COLUMNS * 0.3, side * GAP_COLUMNS * 0.55
    up = _curve(start, (start[0] + near, start[1]), (start[0] + near * 0.6, height), (start[0] + far, height))
    down = _curve((end[0] - far, height), (end[0] - near * 0.6, height), (end[0] - near, end[1]), end)
    return f"{up} L{down.removeprefix('M')}"


def _curve(start: Point, first: Point, second: Point, end: Point) -> str:
    return f"M{_text(start)} C{' '.join(map(_text, (first, second, end)))}"


def _text(point: Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"
