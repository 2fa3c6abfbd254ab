"""Finds the modules of a tree that can't depend on each other, because the dependencies would form a cycle.

The original had no cycles: its component modules never named service modules. Here, a component module and a service
module with the same word become one module, so that its assemblies need modules whose components link back to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dtk.convert.assembly import assembly
from dtk.convert.component import component
from dtk.convert.reach import Reach, Tree
from dtk.convert.section import Notes
from dtk.convert.source import Source


def without_circles(tree: Tree, sources: Sequence[Source]) -> Tree:
    """Return the tree without the dependencies that would close a cycle.

    Dependencies of assemblies are always kept; those of components are kept unless they lead back.
    """
    needs: dict[str, set[str]] = {name: set() for name in tree.types}
    for source in sources:
        reach = Reach((source, tree))
        for cursor in source.assemblies.values():
            assembly(cursor, Notes(), reach, source.workflows)
        needs.setdefault(source.name, set()).update(reach.used - {source.name})
    cut: dict[str, frozenset[str]] = {}
    for source in sources:
        reach = Reach((source, tree))
        for entry in source.component_entries():
            component(entry, Notes(), reach, on_node=True)
        for other in sorted(reach.used - {source.name}):
            if _leads_to(other, source.name, needs):
                cut[source.name] = cut.get(source.name, frozenset()) | {other}
            else:
                needs[source.name].add(other)
    return replace(tree, cut=cut)


def _leads_to(start: str, end: str, needs: Mapping[str, set[str]]) -> bool:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += needs.get(name, ())
    return end in seen
