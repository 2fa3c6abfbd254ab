"""Selection of part of a service by the names of nodes, groups, components and stages."""

from __future__ import annotations

from dataclasses import dataclass

from dtk.model.names import group_of


@dataclass(frozen=True)
class Selection:
    """The scope of a plan: everything named by ``only`` (everything, if that is empty) except what ``exclude`` names.

    A term names a node or a group (``slaves:1``, ``slaves``), a component (``spark::worker``, with a title or for all
    titles), a component on a node (``slaves/spark::worker``), or a stage.
    """

    only: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Whether there are any terms; without terms everything is selected."""
        return bool(self.only or self.exclude)

    def takes(self, names: frozenset[str]) -> bool:
        """Return whether something with these names is selected."""
        return (not self.only or not names.isdisjoint(self.only)) and names.isdisjoint(self.exclude)


EVERYTHING = Selection()


def names_of_node(node: str) -> frozenset[str]:
    """Return the terms that select a node: its own name and its group's."""
    return frozenset({node, group_of(node)})


def names_of_component(node: str, component: str) -> frozenset[str]:
    """Return the terms that select a component on a node; ``component`` may end with a title in brackets."""
    names = {component, component.partition("[")[0]}
    node_names = names_of_node(node)
    return frozenset(node_names | names | {f"{node_name}/{name}" for node_name in node_names for name in names})
