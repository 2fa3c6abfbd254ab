"""Places in a YAML document: the path of a value in its data, and where that stands in the text."""

from __future__ import annotations

from dataclasses import dataclass

from dtk.errors import Location

DocumentPath = tuple[str | int, ...]
"""Keys and list indices from the document's root."""


@dataclass(frozen=True)
class Span:
    """Where something stands in the text: the place of its first character, and offsets of its start and end."""

    location: Location
    start: int
    end: int
