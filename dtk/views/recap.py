"""A line that summarizes a finished task: changed nodes, operations, duration."""

from __future__ import annotations

from collections.abc import Iterator

from dtk.events.tree import Task, TaskStep
from dtk.model.names import ASSEMBLY_WIDE, DELETE
from dtk.views.formatting import counted, long_duration


def recap(task: Task) -> str:
    """Return a summary such as ``3 of 5 nodes changed, 12 operations, 41s``; it counts the nodes with steps."""
    leaves = [leaf for leaf in task.leaves() if leaf.node not in ("", ASSEMBLY_WIDE)]
    nodes = {leaf.node for leaf in leaves}
    changed = {leaf.node for leaf in changed_leaves(task)} & nodes
    failed = {leaf.node for leaf in leaves if leaf.status == "failed"}
    operations = sum(not result.skipped for leaf in task.leaves() for result in leaf.results)
    parts = [f"{len(changed)} of {counted(len(nodes), 'node')} changed"] if nodes else []
    parts += [f"{len(failed)} failed"] if failed else []
    parts += [counted(operations, "operation")]
    parts += [long_duration(task.duration)] if task.duration is not None else []
    return ", ".join(parts)


def changed_leaves(task: Task) -> Iterator[TaskStep]:
    """Yield the steps that changed something. In a converge, plain actions such as smoke tests do not count."""
    for leaf in task.leaves():
        deletes = any(result.action == DELETE for result in leaf.results)
        is_plain = task.type == "assembly_converge" and leaf.type == "action" and not deletes
        if not is_plain and (leaf.changed or any(result.changed for result in leaf.results)):
            yield leaf
