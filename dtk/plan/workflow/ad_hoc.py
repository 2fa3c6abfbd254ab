"""What ``exec`` runs: an action of a component, without a workflow. Also checks parameters.

Source: docs/original.md 2.2 (exec) and 5.1 (ad-hoc actions don't create nodes; they need running ones).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from dtk.errors import DtkError, UsageError
from dtk.model.module import Workflow
from dtk.model.names import ASSEMBLY_WIDE, CREATE, ComponentName, group_of
from dtk.model.parameters import typed_parameters
from dtk.model.suggestion import did_you_mean
from dtk.plan.resolve.topology import Instance, Topology
from dtk.plan.workflow.flattening import parameters_of
from dtk.plan.workflow.stages import StagedAction, StageOutline, stage_order
from dtk.state.model import State

_TERM = re.compile(
    r"^(?:(?P<node>[^/\[\]]+)/)?(?P<component>[^\s./\[\]]+(?:\[[^\[\]/]+\])?)(?:\.(?P<action>[a-zA-Z0-9_-]+))?$"
)


def action_stage(topology: Topology, state: State, term: str, parameters: Mapping[str, str]) -> list[StageOutline]:
    """Return the single stage that runs a component's action on all its nodes, or on one node or group.

    Args:
        topology: the service's nodes and their components.
        state: tells which nodes are running.
        term: ``[NODE/]COMPONENT[.ACTION]``; without an action the component is converged.
        parameters: the action's parameters, as texts.

    Raises:
        UsageError: the term matches nothing, or a parameter is missing or of the wrong type.
        DtkError: a node is not running.
    """
    match = _TERM.match(term)
    component = ComponentName.parse(match["component"]) if match else None
    found = list(_instances(topology, match["node"] or "", component)) if match and component else []
    if component and not found:
        _check_members(topology, match["node"] or "" if match else "", component)
    if match is None or component is None or not found:
        raise _unknown(topology, term)
    action = match["action"] or CREATE
    if action != CREATE and action not in found[0].component.actions:
        known = list(found[0].component.actions)
        hint = did_you_mean(action, known, f"it has {', '.join(known)}")
        raise UsageError(f"component '{component.type}' has no action '{action}'", hint=hint)
    _check_running(found, state)
    staged = {instance.key: _staged(instance, action, parameters) for instance in found}
    per_node = [
        (node, tuple(staged[instance.key] for instance in found if instance.node == node))
        for node in stage_order(topology)
    ]
    return [StageOutline(term, tuple(entry for entry in per_node if entry[1]))]


def _check_members(topology: Topology, node: str, component: ComponentName) -> None:
    """Check that the component is not only in an empty group.

    Raises:
        UsageError: it is; the error names the group.
    """
    for instance in topology.absent.values():
        if component.means(instance.name) and node in ("", instance.node):
            hint = f"dtk set-attribute {topology.service} {instance.node}/cardinality 1"
            raise UsageError(f"group '{instance.node}' has no members", hint=hint)


def _instances(topology: Topology, node: str, component: ComponentName) -> Iterator[Instance]:
    for instance in topology.instances.values():
        if component.means(instance.name) and node in ("", instance.node, group_of(instance.node)):
            yield instance


def _staged(instance: Instance, action: str, given: Mapping[str, str]) -> StagedAction:
    definition = instance.component.actions.get(action)
    try:
        return StagedAction(instance, action, typed_parameters(definition.parameters, given) if definition else {})
    except ValueError as error:
        declared = " ".join(f"{name}={name.upper()}" for name in definition.parameters) if definition else ""
        raise UsageError(f"{error} (action '{instance.name}.{action}')", hint=f"give {declared}") from None


def _check_running(instances: Iterable[Instance], state: State) -> None:
    nodes = dict.fromkeys(instance.node for instance in instances if instance.node != ASSEMBLY_WIDE)
    usable = {name for name, node in state.nodes.items() if node.status == "running" and node.is_met}
    resting = [node for node in nodes if node not in usable]
    if resting:
        raise DtkError(
            f"Cannot execute the action because the following node(s) is not running: {', '.join(resting)}",
            hint=f"dtk converge {state.service}",
        )


def _unknown(topology: Topology, term: str) -> UsageError:
    workflows = list(topology.assembly.workflows)
    message = f"no workflow and no action '{term}' in {topology.assembly.name}"
    listed = f"workflows: {', '.join(workflows)}; list its actions: dtk list-actions SERVICE"
    return UsageError(message, hint=did_you_mean(term, [*workflows, *_terms(topology)], listed))


def _terms(topology: Topology) -> list[str]:
    """Return every term that names an action, with and without its node."""
    terms: dict[str, None] = {}
    for instance in topology.instances.values():
        for action in instance.component.actions:
            term = f"{instance.name}.{action}"
            terms |= {term: None, f"{group_of(instance.node)}/{term}": None}
    return list(terms)


def check_parameters(given: Mapping[str, str], workflow: Workflow | None, outlines: Sequence[StageOutline]) -> None:
    """Refuse parameters that neither the workflow's terms nor any of its actions use.

    Raises:
        UsageError: a parameter is unknown; the error names the first such one.
    """
    known = dict.fromkeys(name for outline in outlines for action in outline.actions() for name in action.parameters)
    if workflow is not None:
        known |= dict.fromkeys(parameters_of(workflow))
    unknown = next((name for name in given if name not in known), "")
    if unknown:
        takes = ", ".join(known) or "no parameters"
        raise UsageError(f"unknown parameter '{unknown}'", hint=did_you_mean(unknown, known, f"it takes {takes}"))
