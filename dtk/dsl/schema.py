"""JSON Schema violations as problems with a place, in words for people."""

from __future__ import annotations

from typing import Any

from dtk.errors import Problem


def schema_problems(data: Any, name: str, source: str) -> list[Problem]:
    """Return what is wrong with plain data that has no positions (JSON that dtk wrote).

    Args:
        data: the document.
        name: ``plan`` for schemas/plan.schema.json.
        source: the file's name, for messages.
    """
    raise NotImplementedError
