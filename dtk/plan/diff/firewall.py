"""The declared ports that a target opens and to which sources, compared with those opened before."""

from __future__ import annotations

from collections.abc import Collection

from dtk.model.plan import FirewallChange, FirewallRule
from dtk.model.target import Target
from dtk.state.model import State


def firewall_rules(target: Target, ports: Collection[int | None], state: State) -> tuple[FirewallRule, ...]:
    """Return a service's firewall rules: ports to close first, then those to open, then the unchanged ones.

    Args:
        target: has rules only if it manages a firewall itself.
        ports: the ports that components declare; None for a port that is known only after apply.
        state: the ports opened so far.
    """
    sources = target.description.firewall_sources(target)
    if sources is None:
        return ()
    planned = {(port, source) for source in sources for port in ports if port is not None}
    opened = {(port, source) for source, known in state.open_ports.items() for port in known}
    # A port not known yet might be one that is open now, so close nothing.
    gone = opened - planned if None not in ports else set()
    found: dict[FirewallChange, set[tuple[int, str]]] = {
        "close": gone,
        "open": planned - opened,
        "keep": opened - gone,
    }
    return tuple(FirewallRule(change, *rule) for change, rules in found.items() for rule in sorted(rules))
