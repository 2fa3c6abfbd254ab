"""Flattens the blocks of a workflow: one list of stages, each with the branches that run in it concurrently.

    sequential: [a, b]                            → a, b
    concurrent: [a, b]                            → (a and b)
    concurrent: [sequential: [a, b], c]           → (a and c), b
    sequential: [a, concurrent: [b, c], d]        → a, (b and c), d

The stages of a concurrent block's branches are aligned by their index in the branch. This keeps every written
order, adds one that is not written (each branch waits for the others at each stage), and gives the structure of the
original's table: stages at level 1, one step per node in them.
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
    """What one written stage adds to a layer; ``options`` are its own, with those of the enclosing blocks as defaults.

    ``given`` are parameters from calls of workflows; they take precedence over those of the running workflow.
    """

    items: tuple[WorkflowItem, ...]
    node: str
    ordered: bool
    options: StageOptions
    given: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer:
    """A level-1 stage: its branches run concurrently; those that share a node run one after the other on it."""

    name: str
    branches: tuple[Branch, ...]
    options: StageOptions
    location: Location


def layers_of(workflow: Workflow) -> list[Layer]:
    """Return a workflow's stages with its blocks flattened."""
    whole = Subtask("", (), workflow.location, subtasks=workflow.subtasks, order=workflow.order)
    return _layers(whole, StageOptions())


def terms_of(workflow: Workflow) -> Iterator[str]:
    """Yield the texts of a workflow that may contain ``{{name}}``: stage names, titles, values of parameters."""
    for layer in layers_of(workflow):
        yield layer.name
        for branch in layer.branches:
            yield from branch.given.values()
            for item in branch.items:
                yield from (item.component.title, *item.parameters.values())


def parameters_of(workflow: Workflow) -> list[str]:
    """Return the parameters of a workflow: those it declares and those its terms use."""
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
    # The n-th stages of all branches form one layer: a task has a single list of stages, and no branch waits longer
    # than the slowest step of its row.
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
    """Return a stage's options, completed with those of the enclosing block."""
    values = {f.name: getattr(inner, f.name) for f in fields(StageOptions)}
    default = StageOptions()
    return StageOptions(
        **{name: getattr(outer, name) if value == getattr(default, name) else value for name, value in values.items()}
    )
