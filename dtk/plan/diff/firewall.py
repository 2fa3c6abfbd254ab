"""Which declared ports a target opens to whom, compared with what was opened before."""

from __future__ import annotations

from collections.abc import Collection

from dtk.model.plan import FirewallChange, FirewallRule
from dtk.model.target import Target, networks
from dtk.state.model import State


def firewall_rules(target: Target, ports: Collection[int | None], state: State) -> tuple[FirewallRule, ...]:
    """Return the rules of a service's firewall: what is closed first, then what is opened, then the others.

    Args:
        target: only one that keeps a firewall itself (ec2, without security groups of its own) has rules.
        ports: those that components declare; None stands for one that is known only after apply.
        state: what was opened.
    """
    if target.type != "ec2" or target.settings.get("security_groups"):
        return ()
    wanted = {(port, source) for source in networks(target, "open_to") for port in ports if port is not None}
    opened = {(port, source) for source, known in state.open_ports.items() for port in known}
    # What is not known yet may be what is open now.
    gone = opened - wanted if None not in ports else set()
    found: dict[FirewallChange, set[tuple[int, str]]] = {
        "close": gone,
        "open": wanted - opened,
        "keep": opened - gone,
    }
    return tuple(FirewallRule(change, *rule) for change, rules in found.items() for rule in sorted(rules))
