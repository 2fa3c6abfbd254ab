"""One event of a task's log: its types, its line in the file, its timestamp."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

VERSION = 1
HEADER = ("v", "seq", "ts", "type", "message")
"""The fields of every event, in the order of a line."""

TYPES = frozenset(
    {
        "task.planned",
        "task.started",
        "task.cancelling",
        "task.finished",
        "stage.started",
        "stage.finished",
        "step.started",
        "step.output",
        "step.retrying",
        "step.heartbeat",
        "step.finished",
        "operation.finished",
        "node.changed",
        "attribute.set",
        "firewall.changed",
    }
)
BOUNDARY_TYPES = frozenset(
    {
        "task.planned",
        "task.started",
        "task.cancelling",
        "task.finished",
        "stage.started",
        "stage.finished",
        "step.started",
        "step.finished",
        "node.changed",
    }
)
"""Events that must be on disk before the writer continues (docs/events.md)."""

Event: TypeAlias = Mapping[str, Any]
_DECODER = json.JSONDecoder()


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def timestamp(moment: datetime) -> str:
    """Return a time as events contain it: UTC, RFC 3339, microseconds, ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def moment_of(text: object) -> datetime | None:
    """Parse an event's timestamp; None if it is not one."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is UTC:  # the format that dtk writes: nothing to convert
            return moment
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def encode(event: Event) -> bytes:
    """Return an event as its line. Text that is not Unicode (lone surrogates) is written as ``?``.

    Raises:
        ValueError: a value is NaN or infinity, which JSON does not have.
        TypeError: a value can't be expressed in JSON.
    """
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace") + b"\n"


def _parsed(text: str) -> object:
    # Not json.loads: given bytes, it first detects the encoding, which takes a third of its time; logs are UTF-8. Nor
    # its decode, which looks for white space on both sides, unless there is some.
    if text.startswith("{"):
        event, end = _DECODER.raw_decode(text)
        if text[end:] == "\n":
            return event
    return _DECODER.decode(text)


def decode(line: bytes) -> Event | str:
    """Parse the event in a line; return an error message if the line has none."""
    try:
        event = _parsed(line.decode())
    except (ValueError, RecursionError):
        return "not JSON"
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        return "not an event"
    if not isinstance(event.get("seq"), int) or isinstance(event["seq"], bool):
        return "an event without a sequence number"
    if moment_of(event.get("ts")) is None:
        return "an event without a time"
    return event
