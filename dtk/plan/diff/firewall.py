"""Which declared ports a target opens to whom, compared with what was opened before."""

from __future__ import annotations

from collections.abc import Collection

from dtk.model.plan import FirewallChange, FirewallRule
from dtk.model.target import Target
from dtk.state.model import State


def firewall_rules(target: Target, ports: Collection[int | None], state: State) -> tuple[FirewallRule, ...]:
    """Return the rules of a service's firewall: what is closed first, then what is opened, then the others.

    Args:
        target: only one that keeps a firewall itself has rules.
        ports: those that components declare; None stands for one that is known only after apply.
        state: what was opened.
    """
    sources = target.description.firewall_sources(target)
    if sources is None:
        return ()
    planned = {(port, source) for source in sources for port in ports if port is not None}
    opened = {(port, source) for source, known in state.open_ports.items() for port in known}
    # What is not known yet may be what is open now.
    gone = opened - planned if None not in ports else set()
    found: dict[FirewallChange, set[tuple[int, str]]] = {
        "close": gone,
        "open": planned - opened,
        "keep": opened - gone,
    }
    return tuple(FirewallRule(change, *rule) for change, rules in found.items() for rule in sorted(rules))
