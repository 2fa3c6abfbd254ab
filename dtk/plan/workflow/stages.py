"""A workflow's stages over a topology: which component actions run where, in which order.

Source: docs/original.md 4.6, 5.2 and 5.3. A stage without a node runs wherever its components are; groups come before
single nodes in a stage; components added to the service get their own stage. Blocks become level-1 stages: those of a
sequential block one after the other, those of a concurrent one side by side in the same stages (see ``layers_of``), so
that each node has one step per stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from dtk.errors import InvalidError, Location, Problem, UsageError
from dtk.model.json_data import Json, JsonObject, ReadOnlyObject
from dtk.model.module import StageOptions, Workflow, WorkflowItem
from dtk.model.names import ASSEMBLY_WIDE, CREATE, ComponentName, group_of, node_order
from dtk.model.parameters import filled_in, typed_parameters
from dtk.model.planned_action import action_key
from dtk.model.suggestion import nearest
from dtk.plan.resolve.links import Link
from dtk.plan.resolve.topology import Instance, Topology
from dtk.plan.workflow.flattening import Branch, Layer, layers_of, parameters_of, terms_of
from dtk.plan.workflow.ordering import LinkOrder, link_order, sorted_actions

SCALE_DOWN = "scale_down"
"""The workflow that runs on the remaining nodes before members of a group are removed."""


@dataclass(frozen=True)
class StagedAction:
    """One action of one instance, with its parameters; ``options`` are its stage's, ``repeat`` as in the plan."""

    instance: Instance
    action: str
    parameters: Mapping[str, Json] = field(default_factory=dict)
    options: StageOptions = field(default_factory=StageOptions)
    location: Location | None = None
    repeat: str = ""

    @cached_property
    def key(self) -> str:
        """The key under which the state records the action's success: ``slaves:1 dask::worker.create``."""
        return action_key(self.instance.node, str(self.instance.name), self.action, self.repeat)


@dataclass(frozen=True)
class StageOutline:
    """A stage before it is numbered: the actions of each node, in the table's order."""

    name: str
    per_node: tuple[tuple[str, tuple[StagedAction, ...]], ...]
    max_in_flight: int | str | None = None
    canary: int | None = None

    def actions(self) -> list[StagedAction]:
        """Return the stage's actions, node by node."""
        return [action for _, actions in self.per_node for action in actions]


def expand_workflow(
    topology: Topology, workflow: Workflow, links: Sequence[Link], parameters: Mapping[str, str] | None = None
) -> list[StageOutline]:
    """Expand a written workflow over the topology's nodes, and insert stages for added components.

    Args:
        topology: the service's nodes and their components.
        workflow: the workflow.
        links: the topology's links.
        parameters: the workflow's parameters, as texts.

    Raises:
        InvalidError: a stage names something that does not exist, or an action lacks a parameter; the error lists all
            such problems.
        UsageError: a parameter of the workflow is missing, or has the wrong type.
    """
    problems: list[Problem] = []
    values = _values(workflow, parameters or {})
    order = link_order(links)
    stages = [_expand(topology, layer, order, values, problems) for layer in layers_of(workflow)]
    stages = [stage for stage in stages if stage.per_node]
    if workflow.name == CREATE:
        stages = _with_added(topology, stages, links)
        problems += _twice(stages)
    if problems:
        raise InvalidError(f"workflow '{workflow.name}' can't be run", list(dict.fromkeys(problems)))
    return numbered_repeats(stages)


def _values(workflow: Workflow, given: Mapping[str, str]) -> JsonObject:
    """Return the workflow's parameters: declared ones converted to their types, the others as given."""
    try:
        values = {**given, **typed_parameters(workflow.parameters, given)}
        for term in terms_of(workflow):
            filled_in(term, values)
    except ValueError as error:
        takes = parameters_of(workflow)
        unknown = [f"'{name}'" for name in given if name not in takes]
        other = f"; it has no parameter {', '.join(unknown)}" if unknown else ""
        written = " ".join(f"{name}={name.upper()}" for name in takes)
        raise UsageError(f"{error} (workflow '{workflow.name}'){other}", hint=f"give {written}") from None
    return values


def _expand(
    topology: Topology, layer: Layer, order: LinkOrder, values: ReadOnlyObject, problems: list[Problem]
) -> StageOutline:
    found: dict[str, list[StagedAction]] = {node: [] for node in stage_order(topology)}
    for branch in layer.branches:
        for node, actions in _of_branch(topology, branch, values, problems).items():
            found[node] += actions if branch.ordered else sorted_actions(actions, topology, order)
    name = filled_in(layer.name, values)
    per_node = tuple((node, tuple(actions)) for node, actions in found.items() if actions)
    return StageOutline(name, per_node, layer.options.max_in_flight, layer.options.canary or None)


def _of_branch(
    topology: Topology, branch: Branch, values: ReadOnlyObject, problems: list[Problem]
) -> dict[str, list[StagedAction]]:
    """Return the actions of a branch by node, in the order its items are listed."""
    found: dict[str, list[StagedAction]] = {}
    for item in branch.items:
        for instance in _matching(topology, branch, item, values, problems):
            if action := _staged(instance, item, branch, values, problems):
                found.setdefault(instance.node, []).append(action)
    first = next((node for node in stage_order(topology) if node in found), "") if branch.options.run_once else ""
    return {first: found[first]} if first else found


def stage_order(topology: Topology) -> list[str]:
    """Return the nodes in the order of a stage's rows: assembly-wide, members of groups, single nodes."""
    names = sorted(topology.nodes, key=lambda name: (not topology.nodes[name].group, *node_order(name)))
    return [ASSEMBLY_WIDE, *names]


def _matching(
    topology: Topology, branch: Branch, item: WorkflowItem, values: ReadOnlyObject, problems: list[Problem]
) -> Iterator[Instance]:
    """Yield the instances that an item matches; if there are none, record a problem with the nearest name."""
    title = filled_in(item.component.title, values)
    component = ComponentName(item.component.type, title)
    instances = [i for i in topology.instances.values() if branch.node in ("", i.node, group_of(i.node))]
    found = [instance for instance in instances if component.means(instance.name)]
    if not found and not _may_be_absent(topology, branch, component):
        known = sorted({str(instance.name) for instance in instances})
        where = f" of node '{branch.node}'" if branch.node else ""
        problems.append(
            Problem(
                "The following element(s) cannot be resolved with respect to the assembly's nodes and"
                f" components{where}: {component}",
                item.location,
                nearest=nearest(str(component), known),
            )
        )
    yield from found


def _may_be_absent(topology: Topology, branch: Branch, component: ComponentName) -> bool:
    """Return whether matching nothing is valid: the service removed the component, or its group has no members."""
    absent = (i for i in topology.absent.values() if branch.node in ("", i.node))
    if any(component.means(instance.name) for instance in absent):
        return True
    names = (ComponentName.parse(use.partition("/")[2]) for use in topology.removed)
    return any(name is not None and component.means(name) for name in names)


def _staged(
    instance: Instance, item: WorkflowItem, branch: Branch, values: ReadOnlyObject, problems: list[Problem]
) -> StagedAction | None:
    action = instance.component.actions.get(item.action)
    try:
        inline = {name: filled_in(text, values) for name, text in {**branch.given, **item.parameters}.items()}
        parameters = typed_parameters(action.parameters, {**values, **inline}) if action else {}
    except ValueError as error:
        called = f"{instance.name}.{item.action}"
        problems.append(Problem(str(error), item.location, expected=f"a value for the action {called}"))
        return None
    if action is None and item.action != CREATE:
        return None  # a component without a delete action has nothing to remove
    return StagedAction(instance, item.action, parameters, branch.options, item.location)


def _twice(stages: Iterable[StageOutline]) -> Iterator[Problem]:
    """Yield a problem for each component that the create workflow converges a second time."""
    first: dict[tuple[str, str], str] = {}
    for stage in stages:
        for action in stage.actions():
            if action.action != CREATE:
                continue
            key = action.instance.key
            if key in first:
                message = f"component '{action.instance.name}' is converged twice on '{group_of(key[0])}'"
                yield Problem(f"{message}: in stage '{first[key]}' and in stage '{stage.name}'", action.location)
            first.setdefault(key, stage.name)


def numbered_repeats(stages: Iterable[StageOutline]) -> list[StageOutline]:
    """Number the repeated runs of an action, so that the state records each run separately."""
    counts: Counter[str] = Counter()

    def numbered(action: StagedAction) -> StagedAction:
        counts[action.key] += 1
        times = counts[action.key]
        return action if times == 1 else replace(action, repeat=str(times))

    return [
        replace(stage, per_node=tuple((node, tuple(map(numbered, actions))) for node, actions in stage.per_node))
        for stage in stages
    ]


def _with_added(topology: Topology, stages: list[StageOutline], links: Sequence[Link]) -> list[StageOutline]:
    """Insert each component that the service added: before the first stage that depends on it, else at the end."""
    staged = {action.instance.key for stage in stages for action in stage.actions() if action.action == CREATE}
    missing = [instance for instance in topology.instances.values() if instance.added and instance.key not in staged]
    for name in dict.fromkeys(str(instance.name) for instance in missing):
        instances = [instance for instance in missing if str(instance.name) == name]
        position = _first_dependent(stages, instances, links)
        stages = [*stages[:position], _own_stage(topology, f"component {name}", instances), *stages[position:]]
    return stages


def _first_dependent(stages: list[StageOutline], added: list[Instance], links: Sequence[Link]) -> int:
    keys = {instance.key for instance in added}
    types = {(instance.node, instance.name.type) for instance in added}
    dependents = {link.base.key for link in links if not keys.isdisjoint(target.key for target in link.targets)}
    for position, stage in enumerate(stages):
        for action in stage.actions():
            instance = action.instance
            same_node = any((instance.node, needed.component) in types for needed in instance.component.dependencies)
            if instance.key in dependents or same_node:
                return position
    return len(stages)


def _own_stage(topology: Topology, name: str, instances: Iterable[Instance]) -> StageOutline:
    by_node = {instance.node: (StagedAction(instance, CREATE),) for instance in instances}
    return StageOutline(name, tuple((node, by_node[node]) for node in stage_order(topology) if node in by_node))
