"""Differences from what was last applied: nodes to create or terminate, components new or changed, and why.

A component has changed if its action's definition or one of its attributes differs from what the state recorded. An
upstream change makes the values it produces unknown, so the components that they flow to change as well: the set is
computed to its fixed point.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from dtk.model.json_data import Json
from dtk.model.membership import registered_groups
from dtk.model.names import ASSEMBLY_WIDE, CREATE, group_of, node_order
from dtk.model.plan import ComponentChange, NodeChange, ValueDifference
from dtk.model.value import UNSET, Value, holds_secret, is_known, secrets_in, shown
from dtk.plan.diff.recomputed import RecomputedValues, ValuesFor, dynamic_paths
from dtk.plan.diff.releases import going
from dtk.plan.diff.value_difference import MOST_DIFFERENCES, value_differences
from dtk.plan.resolve.assembly_values import FromAssembly
from dtk.plan.resolve.links import Binding
from dtk.plan.resolve.topology import Instance, Topology
from dtk.plan.resolve.values import Values
from dtk.plan.workflow.actions import planned_attributes
from dtk.plan.workflow.definitions import definition_of
from dtk.plan.workflow.stages import StagedAction
from dtk.state.model import Applied, NodeState, State
from dtk.state.secret_digests import is_other_value

_CUT = "…"
"""Marks a truncated value in a reason."""
ActingFor = Callable[[bool, RecomputedValues], Iterable[str]]
"""Returns the keys of the actions other than create that run, given if anything changed and the recomputed values."""

TAKEN_IN = "adopted: the configuration on the node is unknown, so this apply verifies it"
"""Reason for a component on an adopted machine, which another clone created: only its tags or mark are known here."""


@dataclass(frozen=True)
class Changes:
    """The differences and the resulting values; ``busy`` means that there is anything to do."""

    nodes: tuple[NodeChange, ...]
    components: tuple[ComponentChange, ...]
    recomputed: RecomputedValues
    busy: bool

    def of(self, action: StagedAction) -> ComponentChange | None:
        """Return the change of an action's instance, None if it is never converged."""
        return self._by_instance.get(action.instance.key)

    @cached_property
    def _by_instance(self) -> Mapping[tuple[str, str], ComponentChange]:
        return {(change.node, change.component): change for change in reversed(self.components)}


def node_changes(topology: Topology, state: State) -> tuple[NodeChange, ...]:
    """Compare the desired nodes with the existing ones; those that go come first."""
    gone = [node for node in state.nodes if node not in topology.nodes]
    changes = [going(node, _removal_reason(node, topology, state), state) for node in gone]
    for node in topology.nodes:
        existing = state.nodes.get(node)
        # A pending node has no address yet, and a node that was never reached has no facts: create finds its machine
        # by token or mark and continues with it.
        if existing is None or existing.status == "pending" or not (existing.is_met or existing.status == "stopped"):
            changes.append(NodeChange(node, "create", _creation_reason(existing)))
        elif existing.status == "stopped":
            changes.append(NodeChange(node, "start", "stopped"))
        else:
            changes.append(NodeChange(node, "keep"))
    order = {"terminate": 0, "release": 0, "create": 1, "start": 2, "stop": 3, "keep": 4}
    return tuple(sorted(changes, key=lambda change: (order[change.change], *node_order(change.node))))


def _creation_reason(existing: NodeState | None) -> str:
    if existing is None:
        return "new node"
    is_gone = not existing.id and registered_groups(existing.attributes)
    return "its machine is gone" if is_gone else "its creation did not finish"


def _removal_reason(node: str, topology: Topology, state: State) -> str:
    group = group_of(node)
    if group == node or group not in topology.assembly.nodes:
        return "no longer in the service"
    existing = sum(1 for other in state.nodes if group_of(other) == group)
    desired = sum(1 for other in topology.nodes if group_of(other) == group)
    if desired >= existing:
        return "service.yaml lists it under removed"
    return f"{group}/cardinality {existing} → {desired}{_from(topology.given.get(f'{group}/cardinality'))}"


def component_changes(
    created: Sequence[StagedAction],
    state: State,
    recomputed: RecomputedValues,
    acting: ActingFor,
    *,
    everything: bool,
    drifted: Mapping[tuple[str, str], Sequence[str]],
    secrets: Mapping[str, str],
) -> tuple[tuple[ComponentChange, ...], RecomputedValues]:
    """Determine which instances of the create workflow are new, changed or unchanged.

    Args:
        created: the create actions of the workflow, in order.
        state: what was applied.
        recomputed: computes attribute values; nothing is marked as recomputed in it yet.
        acting: returns which of the other actions run.
        everything: whether the plan runs every step, so that every dynamic value is recomputed.
        drifted: the drift found on instances, by node and component.
        secrets: keyed digests of the current secret values, by reference.

    Returns:
        One change per instance, in workflow order, and the values used for the comparison.
    """
    running = {action.instance.key for action in created} if everything else set()
    # A changed component recomputes its outputs, which may change others: repeat until nothing is added. The loop
    # terminates because the set of running actions only grows.
    while True:
        recomputed = replace(recomputed, created=_produced(created, running))
        found = [_compare(action, state, recomputed, drifted, secrets) for action in created]
        changed = {(change.node, change.component) for change in found if change.change != "unchanged"}
        acts = recomputed.acting.union(acting(bool(changed), recomputed))
        if changed <= running and acts == recomputed.acting:
            return tuple(found), recomputed
        running, recomputed = running | changed, replace(recomputed, acting=acts)


def _produced(created: Sequence[StagedAction], running: set[tuple[str, str]]) -> frozenset[str]:
    """Return the dynamic attribute paths that the running instances will set."""
    return frozenset(
        path for action in created if action.instance.key in running for path in dynamic_paths(action.instance)
    )


def _compare(
    action: StagedAction,
    state: State,
    recomputed: RecomputedValues,
    drifted: Mapping[tuple[str, str], Sequence[str]],
    secrets: Mapping[str, str],
) -> ComponentChange:
    instance, values = action.instance, recomputed.of(action)
    node, component = instance.key
    applied = state.applied.get(node, {}).get(component)
    if applied is None:
        return ComponentChange(node, component, "new", (_new_reason(instance, state, values.topology.components),))
    whole: list[ValueDifference] = []
    reasons = [
        *_differences(instance, applied, values, whole),
        *_renewed(action, applied, values, recomputed),
        *_rotated(instance, applied, secrets),
        *drifted.get(instance.key, ()),
    ]
    return ComponentChange(node, component, "changed" if reasons else "unchanged", tuple(reasons), tuple(whole))


def _new_reason(instance: Instance, state: State, components: Collection[str]) -> str:
    if instance.node != ASSEMBLY_WIDE and instance.node not in state.nodes:
        return "new node"
    if instance.node in state.nodes and not state.last_task and not state.applied.get(instance.node):
        return TAKEN_IN
    gone = [name for name in state.applied.get(instance.node, ()) if name.partition("[")[0] not in components]
    if gone:
        # Most likely renamed in its module: its definition is gone, so dtk can't remove what it left on the node.
        return (
            f"new component; {', '.join(gone)}, applied here before, is no longer in any module: it is left unchanged"
        )
    return "new component"


def _rotated(instance: Instance, applied: Applied, secrets: Mapping[str, str]) -> Iterator[str]:
    """Yield the attributes whose secret value differs from the one sent to the node."""
    rotated = {name for name, digest in applied.secrets.items() if is_other_value(digest, secrets.get(name, digest))}
    for name, value in applied.attributes.items():
        for reference in secrets_in(value):
            if reference in rotated:
                yield f"{instance.declared_path(name)} (hidden) has changed: {reference} has a new value"


def _renewed(action: StagedAction, applied: Applied, values: Values, recomputed: RecomputedValues) -> Iterator[str]:
    """Yield the attributes that an earlier round of the plan sets, and that this round sets again."""
    waiting = {name: value for name, value in applied.attributes.items() if not is_known(value)}
    desired = planned_attributes(action.instance, CREATE, values) if waiting else {}
    for name, value in waiting.items():
        if desired.get(name) == value and recomputed.renews(action, value):
            yield f"{action.instance.declared_path(name)} is set again"


def _differences(instance: Instance, applied: Applied, values: Values, whole: list[ValueDifference]) -> list[str]:
    """Return why an instance differs from what was applied; ``whole`` collects the values too long for a line."""
    reasons = []
    # Partly applied is neither the old state nor the planned one: it is unknown what is on the machine.
    if applied.attempted:
        reasons.append(f"{instance.name}: task {applied.attempted} started to converge it but did not succeed")
    if applied.action_digest != definition_of(instance, CREATE).digest:
        reasons.append(f"{instance.name}: its create action has changed since it was applied")
    # As planned for the action: they include its node's address if the action uses it.
    desired = planned_attributes(instance, CREATE, values)
    for name in sorted(desired.keys() | applied.attributes.keys()):
        before, after = applied.attributes.get(name, UNSET), desired.get(name, UNSET)
        if before != after:
            is_hidden = name in applied.hidden or _is_hidden(instance, name, before, after)
            found = _difference(instance, name, before, after, is_hidden=is_hidden)
            reasons += found
            # A reason shows only the differing piece of a long value, and only the first of many differences.
            if not is_hidden and (len(found) > MOST_DIFFERENCES or any(_CUT in reason for reason in found)):
                whole.append(ValueDifference(instance.declared_path(name), shown(before), shown(after)))
    return reasons


def _is_hidden(instance: Instance, name: str, before: Value, after: Value) -> bool:
    declared = instance.component.attributes.get(name)
    is_declared = declared is not None and (declared.hidden or declared.secret)
    return is_declared or holds_secret(before) or holds_secret(after)


def _difference(instance: Instance, name: str, before: Value, after: Value, *, is_hidden: bool) -> list[str]:
    path = instance.declared_path(name)
    origin = _from(instance.settings.get(name)) if is_known(after) else ""
    if is_hidden:
        return [f"{path} (hidden) has changed{origin}"]
    return [f"{found}{origin}" for found in value_differences(path, shown(before), shown(after))]


def _from(setting: Json | FromAssembly) -> str:
    """Return the assembly attributes that a value is derived from."""
    if not isinstance(setting, FromAssembly) or setting.value == UNSET or not setting.names:
        return ""
    return f" (from {', '.join(setting.names)})"


def values_maker(
    topology: Topology,
    bindings: Sequence[Binding],
    state: State,
    pending: frozenset[str],
    missing: frozenset[str] = frozenset(),
) -> ValuesFor:
    """Return a function that computes all values, given the dynamic paths recomputed in the plan.

    ``missing`` are paths that have no value and get none in this plan; they differ from attributes that are just unset.
    """

    # Cached: most actions see the same recomputed paths, so their values are computed once for all of them.
    @cache
    def values_for(paths: frozenset[str]) -> Values:
        return Values(topology, bindings, state, pending, paths | missing)

    return values_for


def pending_nodes(changes: Sequence[NodeChange]) -> frozenset[str]:
    """Return the nodes whose addresses become known in this plan."""
    return frozenset(change.node for change in changes if change.change in ("create", "start", "resize"))
