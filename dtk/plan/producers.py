"""Who makes the dynamic values that an action takes, and whether they are made before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dtk.errors import Problem
from dtk.model.expression import references
from dtk.plan.actions import planned_attributes
from dtk.plan.changes import dynamic_paths
from dtk.plan.sorting import Key
from dtk.plan.topology import Topology
from dtk.plan.values import Values
from dtk.plan.workflow import CREATE, StagedAction, StageOutline


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


def order_problems(stages: Sequence[StageOutline], values: Values) -> Iterator[Problem]:
    """Yield the actions that take a value which is made only after them, each at its place in the workflow."""
    makers: dict[str, tuple[int, StageOutline, StagedAction]] = {}
    for number, stage in enumerate(stages):
        for action in stage.actions():
            if action.action == CREATE:
                makers |= dict.fromkeys(dynamic_paths(action.instance), (number, stage, action))
    for number, stage in enumerate(stages):
        for _, actions in stage.per_node:
            for position, action in enumerate(actions):
                yield from _late(action, number, {a.key for a in actions[:position]}, makers, values)


def _late(
    action: StagedAction,
    number: int,
    done: set[str],
    makers: dict[str, tuple[int, StageOutline, StagedAction]],
    values: Values,
) -> Iterator[Problem]:
    taken = planned_attributes(action.instance, action.action, values)
    for path in dict.fromkeys(path for value in taken.values() for path in references(value)):
        if path not in makers:
            continue
        made_in, stage, maker = makers[path]
        if made_in > number or (made_in == number and maker.key not in done):
            said = f"'{action.instance.name}' on '{action.instance.node}' takes {path}"
            when = f"in stage '{stage.name}'" if made_in > number else "in the same stage"
            location = action.location or action.instance.use.location
            yield Problem(f"{said}, which '{maker.instance.name}' makes {when}", location, expected="an earlier stage")
