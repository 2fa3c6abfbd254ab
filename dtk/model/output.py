"""An assembly's outputs: texts with attribute paths in double braces, ``{{ web/site::server/address }}``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dtk.errors import Location

_PATH = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


@dataclass(frozen=True)
class AssemblyOutput:
    """An output of an assembly, shown to users once its service runs."""

    name: str
    text: str
    location: Location

    @property
    def pieces(self) -> Iterator[tuple[bool, str]]:
        """The pieces in order: literal texts (True) and attribute paths (False); empty texts are left out."""
        for index, piece in enumerate(_PATH.split(self.text)):
            is_text = index % 2 == 0
            if piece or not is_text:
                yield is_text, piece

    @property
    def paths(self) -> list[str]:
        """The attribute paths in the output."""
        return [piece for is_text, piece in self.pieces if not is_text]
