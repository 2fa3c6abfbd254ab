"""The status of a service in one word, derived from its nodes."""

from __future__ import annotations

from collections import Counter

from dtk.state.model import State


def service_status(state: State) -> str:
    """Return a service's status in one word, with the number of running nodes if not all of them run.

    Source: docs/original.md 3.2; showing that a service runs in part is dtk's own addition (7).
    """
    counts = Counter(node.status for node in state.nodes.values())
    if not counts or set(counts) == {"pending"}:
        return "pending"
    if len(counts) == 1:
        return next(iter(counts))
    if counts["running"]:
        return f"running({counts['running']}/{counts.total()})"
    return "stopped" if counts["stopped"] else ""
