"""Updates the target's firewall before a task's first stage: admits this machine, opens the planned ports."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from dtk.apply.session.task_context import TaskContext
from dtk.errors import DtkError
from dtk.model.names import ASSEMBLY_WIDE
from dtk.model.plan import Plan
from dtk.nodes.provider import OpenPort
from dtk.nodes.records import record_of
from dtk.state.model import State

_CONNECTING = ("power_on_node", "resize_node", "configure_node", "action")


def update_firewall(context: TaskContext) -> None:
    """Let this machine reach the nodes, and others the planned ports; a new node's group is created with the node.

    Raises:
        DtkError: the target refuses a planned change. Without planned changes, a refusal is only logged: if the nodes
            do not admit this machine, the connections will show it.
    """
    plan, state = context.plan, context.store.state
    if not plan.firewall and not _connects(plan):
        return
    ports = planned_ports(plan)
    records = [record_of(node, known) for node, known in state.nodes.items()]
    try:
        changed = context.provider.update_firewall(context.identity, records, ports if plan.firewall else None)
    except DtkError as error:
        if any(rule.change != "keep" for rule in plan.firewall):
            raise DtkError(f"the firewall differs from the plan: {error.message}", hint=error.hint) from error
        message = f"the firewall was not changed: {error.message}"
        context.journal.append("firewall.changed", message, opened=[], closed=[], error={"message": error.message})
        return
    if plan.firewall:
        context.change_state(lambda state: with_open_ports(state, ports))
    if changed.opened or changed.closed:
        opened, closed = _texts(changed.opened), _texts(changed.closed)
        parts = [f"{verb} {', '.join(rules)}" for verb, rules in (("opened", opened), ("closed", closed)) if rules]
        context.journal.append("firewall.changed", f"firewall: {'; '.join(parts)}", opened=opened, closed=closed)


def _connects(plan: Plan) -> bool:
    return any(leaf.type in _CONNECTING and leaf.node != ASSEMBLY_WIDE for leaf in plan.leaves())


def _texts(ports: Iterable[OpenPort]) -> list[str]:
    return [f"{rule.port} to {rule.source}" for rule in ports]


def planned_ports(plan: Plan) -> list[OpenPort]:
    """Return the ports that are open after a plan is applied."""
    return [OpenPort(rule.port, rule.source) for rule in plan.firewall if rule.change != "close"]


def with_open_ports(state: State, ports: Iterable[OpenPort]) -> State:
    """Return the state with exactly these ports open."""
    by_source: dict[str, list[int]] = {}
    for rule in ports:
        by_source.setdefault(rule.source, []).append(rule.port)
    return replace(state, open_ports={source: tuple(sorted(found)) for source, found in by_source.items()})
