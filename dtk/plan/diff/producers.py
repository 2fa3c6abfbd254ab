"""Who makes the dynamic values that an action takes, and whether they are made before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dtk.errors import Problem
from dtk.model.names import CREATE
from dtk.model.value import UNSET, references
from dtk.plan.diff.recomputed import RecomputedValues, dynamic_paths, makers_in
from dtk.plan.resolve.topology import Topology
from dtk.plan.resolve.values import Values
from dtk.plan.workflow.actions import planned_attributes
from dtk.plan.workflow.ordering import Key
from dtk.plan.workflow.stages import StagedAction, StageOutline

Makers = dict[str, tuple[int, StageOutline, StagedAction]]
"""By the attribute paths that they set: the number of the stage in the plan, the stage, the action."""

LEFT_OUT = -1


def guards(topology: Topology, values: Values) -> dict[Key, set[Key]]:
    """Return, for each instance, those whose create action makes a value that its own takes.

    Args:
        topology: the service's instances.
        values: all dynamic attributes in them count as made anew.
    """
    producers = {path: instance.key for instance in topology.instances.values() for path in dynamic_paths(instance)}
    found: dict[Key, set[Key]] = {}
    for instance in topology.instances.values():
        taken = planned_attributes(instance, CREATE, values)
        paths = {path for value in taken.values() for path in references(value)}
        found[instance.key] = {producers[path] for path in paths if path in producers} - {instance.key}
    return found


def order_problems(
    stages: Sequence[StageOutline], whole: Sequence[StageOutline], recomputed: RecomputedValues
) -> Iterator[Problem]:
    """Yield the actions that take a value which is made only after them, each at its place in the workflow.

    Args:
        stages: those of the plan.
        whole: all of the workflow, with what the plan leaves out.
        recomputed: the values that the plan's actions find.
    """
    makers: Makers = {}
    for number, stage in enumerate(stages):
        for action in stage.actions():
            if action.action == CREATE:
                makers |= dict.fromkeys(dynamic_paths(action.instance), (number, stage, action))
    others = _other_makers(stages, whole)
    full = recomputed.values_for(recomputed.created.union(others))
    for number, stage in enumerate(stages):
        for _, actions in stage.per_node:
            for position, action in enumerate(actions):
                yield from _late(action, number, {a.key for a in actions[:position]}, makers, recomputed)
                yield from _without_old(action, number, others, (recomputed.of(action), full))


def _late(
    action: StagedAction, number: int, done: set[str], makers: Makers, recomputed: RecomputedValues
) -> Iterator[Problem]:
    """Yield the values that a create makes after an action takes them."""
    taken = planned_attributes(action.instance, action.action, recomputed.of(action))
    made = recomputed.made_before(action)
    for path in dict.fromkeys(path for value in taken.values() for path in references(value)):
        if path not in makers or path in made:
            continue
        made_in, _, maker = makers[path]
        if made_in > number or (made_in == number and maker.key not in done):
            yield _problem(action, number, path, makers[path])


def _other_makers(stages: Sequence[StageOutline], whole: Sequence[StageOutline]) -> Makers:
    """Return who makes values by another action than create; those that the plan leaves out have no stage's number."""
    numbers = {action.key: number for number, stage in enumerate(stages) for action in stage.actions()}
    return {
        path: (numbers.get(action.key, LEFT_OUT), stage, action)
        for stage, action in makers_in(whole)
        for path in dynamic_paths(action.instance, action.action)
    }


def _without_old(action: StagedAction, number: int, makers: Makers, values: tuple[Values, Values]) -> Iterator[Problem]:
    """Yield what an action takes that another one gives its first value, but not before it.

    Args:
        action: one of the plan's.
        number: its stage's.
        makers: who makes values by another action than create.
        values: what the action finds, and what it would find with all of these made.
    """
    if not makers:
        return
    taken, in_full = (planned_attributes(action.instance, action.action, found) for found in values)
    for name, value in in_full.items():
        for path in references(value):
            if taken[name] == UNSET and path in makers and makers[path][2].instance.key != action.instance.key:
                yield _problem(action, number, path, makers[path])


def _problem(action: StagedAction, number: int, path: str, made: tuple[int, StageOutline, StagedAction]) -> Problem:
    made_in, stage, maker = made
    subject = f"'{action.instance.name}' on '{action.instance.node}' takes {path}"
    called = str(maker.instance.name) if maker.action == CREATE else f"{maker.instance.name}.{maker.action}"
    when = "in the same stage" if made_in == number else f"in stage '{stage.name}'"
    location = action.location or action.instance.use.location
    expected = "select what produces it too, or apply that first" if made_in == LEFT_OUT else "an earlier stage"
    return Problem(f"{subject}, which '{called}' makes {when}", location, expected=expected)
