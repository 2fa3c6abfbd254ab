"""Runs a task for several nodes in parallel and reports each result as soon as it is available."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from dtk.errors import DtkError
from dtk.nodes.provider import NodeRecord, Report

_MOST_AT_ONCE = 64
_Work = TypeVar("_Work")


def report_each(work: Mapping[str, _Work], do: Callable[[_Work], NodeRecord], report: Report) -> None:
    """Process all nodes in parallel; report each node's record or error as soon as it is available.

    Args:
        work: node → argument of ``do``.
        do: returns the node's record; a ``DtkError`` or an ``OSError`` fails only that node.
        report: called in this thread, one node at a time.
    """
    if not work:
        return
    with ThreadPoolExecutor(min(len(work), _MOST_AT_ONCE)) as pool:
        nodes = {pool.submit(do, item): node for node, item in work.items()}
        for future in as_completed(nodes):
            report(nodes[future], attempt(nodes[future], future.result))


def attempt(node: str, do: Callable[[], NodeRecord]) -> NodeRecord | DtkError:
    """Return what ``do`` returns, or its failure as an error to report."""
    try:
        return do()
    except DtkError as error:
        return error
    except OSError as error:
        return DtkError(f"node '{node}': {error}")
