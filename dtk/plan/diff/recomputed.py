"""The values that each action of a plan sees: recomputed by creates, or set by other actions before it.

A create in a plan recomputes its values for the whole plan: actions that use them must run after it. Any other
action's outputs are new only for later actions; before it, and in plans without it, the last values apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dtk.model.names import CREATE
from dtk.model.value import Value, references
from dtk.plan.resolve.topology import Instance
from dtk.plan.resolve.values import Values
from dtk.plan.workflow.stages import StagedAction, StageOutline

ValuesFor = Callable[[frozenset[str]], Values]
"""Computes all values, treating these dynamic attributes as recomputed."""


@dataclass(frozen=True)
class RecomputedValues:
    """What the plan recomputes: ``created`` are attribute paths set by creates, ``acting`` the other actions that run.

    ``earlier`` maps each action's key to the actions that run before it and the paths that they set. ``nodes`` are
    those that get an address.
    """

    values_for: ValuesFor
    earlier: Mapping[str, Mapping[str, frozenset[str]]]
    created: frozenset[str] = frozenset()
    acting: frozenset[str] = frozenset()
    nodes: frozenset[str] = frozenset()

    def of(self, action: StagedAction) -> Values:
        """Return the values that one of the plan's actions sees."""
        made = self.made_before(action)
        return self.values_for(self.created | made) if made else self.general()

    def made_before(self, action: StagedAction) -> frozenset[str]:
        """Return the attribute paths that actions other than create set before this action."""
        if not self.acting:
            return frozenset()
        earlier = self.earlier[action.key].items()
        return frozenset[str]().union(*(paths for key, paths in earlier if key in self.acting))

    def renews(self, action: StagedAction, value: Value) -> bool:
        """Return whether this round of a plan sets a value again that an earlier round sets: it may differ."""
        made = self.created | self.made_before(action)
        return any(
            path in made or (path.count("/") == 1 and path.partition("/")[0] in self.nodes)
            for path in references(value)
        )

    def general(self) -> Values:
        """Return the values without the outputs of actions other than create."""
        return self.values_for(self.created)


def dynamic_paths(instance: Instance, action: str = CREATE) -> list[str]:
    """Return the attribute paths that one of an instance's actions sets."""
    found = instance.component.actions.get(action)
    return [instance.path(output.attribute) for output in found.outputs] if found else []


def makers_in(stages: Sequence[StageOutline]) -> Iterator[tuple[StageOutline, StagedAction]]:
    """Yield the actions other than create that set attributes, with their stages."""
    for stage in stages:
        for action in stage.actions():
            if action.action != CREATE and dynamic_paths(action.instance, action.action):
                yield stage, action


def made_earlier(stages: Sequence[StageOutline]) -> dict[str, dict[str, frozenset[str]]]:
    """Return, by action key, the makers that run before each action: in earlier stages, or earlier on its node."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    done: dict[str, frozenset[str]] = {}
    for stage in stages:
        for _, actions in stage.per_node:
            before = dict(done)
            for action in actions:
                found[action.key] = dict(before)
                before |= _sets(action)
        for action in stage.actions():
            done |= _sets(action)
    return found


def _sets(action: StagedAction) -> dict[str, frozenset[str]]:
    paths = [] if action.action == CREATE else dynamic_paths(action.instance, action.action)
    return {action.key: frozenset(paths)} if paths else {}
