"""Positions in a YAML document: the path of a value in the data, and its span in the text."""

from __future__ import annotations

from dataclasses import dataclass

from dtk.errors import Location

DocumentPath = tuple[str | int, ...]
"""Keys and list indices from the document's root."""


@dataclass(frozen=True)
class Span:
    """A range of the text: the location of its first character, and the offsets of its start and end."""

    location: Location
    start: int
    end: int
