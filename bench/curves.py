"""Draws curves over the number of nodes, with logarithmic axes: a straight line of slope 1 is linear growth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, MARGIN = 960, 520, 60
LABELS, LINE = 270, 14
"""The width of the curves' names to the right of their ends, and the height of a line of text."""
COLOURS = ("#1b6ca8", "#c0392b", "#27864a", "#8e44ad", "#b9770e", "#34495e", "#d35400", "#16a085")


@dataclass(frozen=True)
class Curve:
    """A measured figure by number of nodes."""

    name: str
    points: Sequence[tuple[float, float]]


def picture(curves: Sequence[Curve]) -> str:
    """Return an SVG picture of curves, each with its name at its end."""
    points = [point for curve in curves for point in curve.points]
    left, right = (f(math.log10(x) for x, _ in points) for f in (min, max))
    low, high = (f(math.log10(max(y, 1e-3)) for _, y in points) for f in (min, max))
    low, high = math.floor(low), math.ceil(high)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (math.log10(x) - left) / ((right - left) or 1)
        up = (math.log10(max(y, 1e-3)) - low) / ((high - low) or 1)
        return MARGIN + across * (WIDTH - MARGIN - LABELS), HEIGHT - MARGIN - up * (HEIGHT - 2 * MARGIN)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for power in range(low, high + 1):
        x, y = place(10**left, 10.0**power)
        lines.append(f'<path d="M{x:.1f} {y:.1f}H{WIDTH - LABELS}" stroke="#ddd"/>')
        lines.append(f'<text x="{x - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for count in sorted({x for x, _ in points}):
        x, _ = place(count, 1)
        lines.append(f'<text x="{x:.1f}" y="{HEIGHT - MARGIN + 20}" text-anchor="middle">{count:,.0f}</text>')
    above = 0.0
    coloured = list(zip(curves, COLOURS * len(curves), strict=False))
    for curve, colour in sorted(coloured, key=lambda one: -one[0].points[-1][1]):
        places = [place(*point) for point in curve.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        x, y = places[-1]
        above = max(y + 4, above + LINE)  # below the name of the curve that ends above
        lines.append(f'<text x="{x + 6:.1f}" y="{above:.1f}" fill="{colour}">{escape(curve.name)}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"
