"""A service's status in one word, from the states of its nodes."""

from __future__ import annotations

from collections import Counter

from dtk.state.model import State


def service_status(state: State) -> str:
    """Return a service's status in one word, and how many of its nodes run where they do not all.

    Source: docs/original.md 3.2; that a half-running service says so is dtk's own (7).
    """
    counts = Counter(node.status for node in state.nodes.values())
    if not counts or set(counts) == {"pending"}:
        return "pending"
    if len(counts) == 1:
        return next(iter(counts))
    if counts["running"]:
        return f"running({counts['running']}/{counts.total()})"
    return "stopped" if counts["stopped"] else ""
