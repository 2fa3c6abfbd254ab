"""Which actions produce the dynamic values that an action uses, and whether they run before it."""

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
"""By attribute path: the stage's number in the plan, the stage and the action that sets the attribute."""

LEFT_OUT = -1


def guards(topology: Topology, values: Values) -> dict[Key, set[Key]]:
    """Return, for each instance, the instances whose create action produces a value that its own create uses.

    Args:
        topology: the service's instances.
        values: the service's values, with all dynamic attributes treated as recomputed.
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
    """Yield a problem for each action that uses a value produced only later, at the action's place in the workflow.

    Args:
        stages: the stages of the plan.
        whole: all stages of the workflow, including those that the plan leaves out.
        recomputed: the values that the plan's actions see.
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
    """Yield the values that a create action produces after an action uses them."""
    taken = planned_attributes(action.instance, action.action, recomputed.of(action))
    made = recomputed.made_before(action)
    for path in dict.fromkeys(path for value in taken.values() for path in references(value)):
        if path not in makers or path in made:
            continue
        made_in, _, maker = makers[path]
        if made_in > number or (made_in == number and maker.key not in done):
            yield _problem(action, number, path, makers[path])


def _other_makers(stages: Sequence[StageOutline], whole: Sequence[StageOutline]) -> Makers:
    """Return the actions other than create that produce values; those not in the plan have the stage LEFT_OUT."""
    numbers = {action.key: number for number, stage in enumerate(stages) for action in stage.actions()}
    return {
        path: (numbers.get(action.key, LEFT_OUT), stage, action)
        for stage, action in makers_in(whole)
        for path in dynamic_paths(action.instance, action.action)
    }


def _without_old(action: StagedAction, number: int, makers: Makers, values: tuple[Values, Values]) -> Iterator[Problem]:
    """Yield problems of values that have never been set and that another action sets, but not before this action.

    Args:
        action: an action of the plan.
        number: the number of its stage.
        makers: the actions other than create that produce values.
        values: the values the action sees, and those it would see if all makers had run.
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
    subject = f"'{_called(action)}' on '{action.instance.node}' uses {path}"
    when = "in the same stage" if made_in == number else f"in stage '{stage.name}'"
    location = action.location or action.instance.use.location
    expected = "also select what produces it, or apply that first" if made_in == LEFT_OUT else "an earlier stage"
    return Problem(f"{subject}, which '{_called(maker)}' sets {when}", location, expected=expected)


def _called(action: StagedAction) -> str:
    return str(action.instance.name) if action.action == CREATE else f"{action.instance.name}.{action.action}"
