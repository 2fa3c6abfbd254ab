"""A service's outputs for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from dtk.model.json_data import Json
from dtk.model.value import KNOWN_AFTER_APPLY
from dtk.plan.resolve.outputs import OutputRow
from dtk.views.formatting import harmless

_WORDS = {"known_after_apply": KNOWN_AFTER_APPLY, "hidden": "(hidden)", "unset": "(not set)"}


def output_value(row: OutputRow) -> str:
    """Return an output's value as text; lists and maps as JSON."""
    if row.status != "known":
        return _WORDS[row.status]
    return harmless(row.value if isinstance(row.value, str) else json.dumps(row.value, ensure_ascii=False))


def outputs_text(rows: Sequence[OutputRow]) -> str:
    """Return outputs, one per line, for the end of a task."""
    width = max((len(row.name) for row in rows), default=0)
    return "".join(["Outputs:\n", *(f"  {row.name:<{width}} = {output_value(row)}\n" for row in rows)])


def output_document(row: OutputRow) -> dict[str, Json]:
    """Return an output as JSON data; one that is unknown or hidden has no value."""
    return {"name": row.name, "status": row.status, "value": row.value}
