"""Registers nodes in load balancer groups and DNS names, and takes them out; the state says where each may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext
from dtk.errors import DtkError
from dtk.model.membership import group_name, is_dns_name, registered_groups
from dtk.model.plan import Step
from dtk.nodes.provider import Membership, NodeRecord, Report
from dtk.nodes.records import record_of
from dtk.state import changes
from dtk.state.model import State

Groups = Mapping[str, tuple[str, ...]]


def register(context: TaskContext, groups: Groups, report: Report) -> None:
    """Register nodes in exactly these groups; report each once it is healthy in them and has left all others.

    A node leaves its former groups only then: some group serves it at all times. One that can't leave them still has
    them in the state, and is not in service there: the next plan registers it again.

    Args:
        context: the task.
        groups: the groups by node.
        report: called with the record or the error of each node.
    """
    known = {node: registered_groups(context.store.state.nodes[node].attributes) for node in groups}
    former = {node: tuple(one for one in known[node] if one not in groups[node]) for node in groups}
    # Recorded first: a task that dies now leaves nodes that a later one takes out before it terminates them.
    _record(context, {node: (*groups[node], *former[node]) for node in groups}, in_service=False)
    leaving: list[Membership] = []

    def entered(node: str, outcome: NodeRecord | DtkError) -> None:
        if former[node] and not isinstance(outcome, DtkError):
            leaving.append(Membership(outcome, former[node], groups[node]))
        else:
            report(node, outcome)

    context.provider.register(context.identity, _memberships(context, groups), entered)
    if leaving:
        context.provider.deregister(context.identity, leaving, report)


def deregister(context: TaskContext, groups: Groups, report: Report) -> None:
    """Take nodes out of groups; arguments as in ``register``. Until then, they count as registered."""
    known = context.store.state.nodes
    before = {node: registered_groups(known[node].attributes) or groups[node] for node in groups}
    _record(context, before, in_service=False)
    context.provider.deregister(context.identity, _memberships(context, groups), report)


def note_membership(context: TaskContext, step: Step, groups: Sequence[str], done: str) -> None:
    """Record in the state and in the log that a node is in service in groups, or no longer."""
    is_in = done == "registered"
    context.change_state(lambda state: changes.with_membership(state, step.node, groups, in_service=is_in))
    named = ", ".join(map(group_name, step.target_groups))
    context.journal.append(
        "node.changed",
        f"{step.node} {done}: {named}",
        node=step.node,
        change=done,
        id=context.store.state.nodes[step.node].id,
        status=context.store.state.nodes[step.node].status,
    )


@contextmanager
def out_of_service(context: TaskContext, step: Step, reporter: StepReporter) -> Iterator[None]:
    """Take a step's node out of its groups for the work inside; a node on which that fails stays out.

    A node that is out already only enters them afterwards.

    Raises:
        DtkError: it can't be taken out, or is not healthy afterwards.
    """
    if not step.target_groups:
        yield
        return
    named = ", ".join(map(group_name, step.target_groups))
    known = context.store.state.nodes.get(step.node)
    if known is None:
        raise DtkError(f"node {step.node} is not in the state")
    registered = registered_groups(known.attributes)
    names = tuple(filter(is_dns_name, registered))
    before = tuple(group for group in registered if group not in names)
    if before:
        reporter.waiting(f"waiting for the connections of {named} to drain")
        _done(step, lambda report: deregister(context, {step.node: before}, report))
        note_membership(context, step, names, "deregistered")
    yield
    reporter.waiting(f"waiting for {step.node} to be healthy in {named}")
    now = (*step.target_groups, *names)
    _done(step, lambda report: register(context, {step.node: now}, report))
    note_membership(context, step, now, "registered")


def _done(step: Step, call: Callable[[Report], None]) -> None:
    """Call a provider for one node; raise what it reports."""
    found: list[NodeRecord | DtkError] = []
    call(lambda _, outcome: found.append(outcome))
    if not found:
        raise DtkError(f"the target did not report the status of {step.node}")
    if isinstance(found[0], DtkError):
        raise found[0]


def _record(context: TaskContext, groups: Groups, *, in_service: bool) -> None:
    def changed(state: State) -> State:
        for node, names in groups.items():
            state = changes.with_membership(state, node, names, in_service=in_service)
        return state

    context.change_state(changed)


def _memberships(context: TaskContext, groups: Groups) -> list[Membership]:
    known = context.store.state.nodes
    return [Membership(record_of(node, known[node]), names) for node, names in groups.items()]
