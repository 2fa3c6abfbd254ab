"""A line that summarizes a finished task: changed nodes, operations, duration."""

from __future__ import annotations

from dtk.events.tree import Task
from dtk.model.names import ASSEMBLY_WIDE
from dtk.views.formatting import counted, long_duration


def recap(task: Task) -> str:
    """Return a summary such as ``3 of 5 nodes changed, 12 operations, 41s``; it counts the nodes with steps."""
    leaves = [leaf for leaf in task.leaves() if leaf.node not in ("", ASSEMBLY_WIDE)]
    nodes = {leaf.node for leaf in leaves}
    changed = {leaf.node for leaf in leaves if leaf.changed or any(result.changed for result in leaf.results)}
    failed = {leaf.node for leaf in leaves if leaf.status == "failed"}
    operations = sum(not result.skipped for leaf in task.leaves() for result in leaf.results)
    parts = [f"{len(changed)} of {counted(len(nodes), 'node')} changed"] if nodes else []
    parts += [f"{len(failed)} failed"] if failed else []
    parts += [counted(operations, "operation")]
    parts += [long_duration(task.duration)] if task.duration is not None else []
    return ", ".join(parts)
