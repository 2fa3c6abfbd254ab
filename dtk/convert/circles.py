"""Which modules of a tree can't depend on each other, because they would do so in a circle.

The original knew no circle: its component modules never named service modules. Ours are one module where they share a
word, so that assemblies bring in modules whose components link back.
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
    """Return the tree with those dependencies cut that would close a circle.

    What assemblies run always counts; of what components name, a dependency counts unless it leads back.
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
