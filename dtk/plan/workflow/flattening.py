"""Blocks of a workflow laid flat: one list of stages, each with what runs in it at once.

    sequential: [a, b]                            → a, b
    concurrent: [a, b]                            → (a and b)
    concurrent: [sequential: [a, b], c]           → (a and c), b
    sequential: [a, concurrent: [b, c], d]        → a, (b and c), d

The stages of a concurrent block's branches are put side by side by their number in the branch. That keeps every
order that is written, adds one that is not (a branch waits for the others at each stage), and leaves what the
original's table shows: stages at level 1, one step for each node in them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import zip_longest

from dtk.errors import Location
from dtk.model.module import StageOptions, Subtask, Workflow, WorkflowItem
from dtk.model.parameters import variables_in


@dataclass(frozen=True)
class Branch:
    """What one written stage puts into a layer; ``options`` are its own over those of the blocks around it.

    ``given`` are parameters that calls of workflows give to its actions, before those of the workflow that runs.
    """

    items: tuple[WorkflowItem, ...]
    node: str
    ordered: bool
    options: StageOptions
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """A level-1 stage: its branches run at once, those that share a node one after the other there."""

    name: str
    branches: tuple[Branch, ...]
    options: StageOptions
    location: Location


def layers_of(workflow: Workflow) -> list[Layer]:
    """Return a workflow's stages, its blocks laid flat."""
    whole = Subtask("", (), workflow.location, subtasks=workflow.subtasks, order=workflow.order)
    return _layers(whole, StageOptions())


def terms_of(workflow: Workflow) -> Iterator[str]:
    """Yield the texts of a workflow that may hold ``{{name}}``: stage names, titles, values of parameters."""
    for layer in layers_of(workflow):
        yield layer.name
        for branch in layer.branches:
            yield from branch.given.values()
            for item in branch.items:
                yield from (item.component.title, *item.parameters.values())


def parameters_of(workflow: Workflow) -> list[str]:
    """Return the parameters of a workflow: those it declares, and those that its terms name."""
    named = (name for term in terms_of(workflow) for name in variables_in(term))
    return list(dict.fromkeys([*workflow.parameters, *named]))


def _layers(subtask: Subtask, outer: StageOptions) -> list[Layer]:
    options = _over(subtask.options, outer)
    if not subtask.subtasks:
        branch = Branch(subtask.items, subtask.node, subtask.ordered, options, subtask.given)
        return [Layer(subtask.name, (branch,), options, subtask.location)]
    inner = [_layers(one, options) for one in subtask.subtasks]
    if subtask.order == "sequential":
        return [layer for layers in inner for layer in layers]
    return _side_by_side(subtask, inner, options)


def _side_by_side(block: Subtask, inner: Iterable[list[Layer]], options: StageOptions) -> list[Layer]:
    # The n-th stages of all branches are one layer: a task knows one list of stages, and no branch waits for more
    # than the longest step of the row.
    rows = [[layer for layer in row if layer is not None] for row in zip_longest(*inner)]
    name = block.name if len(rows) == 1 else ""
    return [
        Layer(
            name or ", ".join(dict.fromkeys(layer.name for layer in row)),
            tuple(branch for layer in row for branch in layer.branches),
            options,
            block.location,
        )
        for row in rows
    ]


def _over(inner: StageOptions, outer: StageOptions) -> StageOptions:
    """Return a stage's options, with those of the block around it where it says nothing."""
    values = {f.name: getattr(inner, f.name) for f in fields(StageOptions)}
    default = StageOptions()
    return StageOptions(
        **{name: getattr(outer, name) if value == getattr(default, name) else value for name, value in values.items()}
    )
