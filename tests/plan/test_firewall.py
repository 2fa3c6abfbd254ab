"""Which declared ports a plan opens and closes: only on targets whose firewall dtk manages, and never on a guess."""

from __future__ import annotations

from typing import Any

import pytest

from dtk.errors import InvalidError
from dtk.model.plan import FirewallRule
from dtk.model.target import Target
from dtk.nodes.ec2.description import EC2
from dtk.plan.diff.firewall import firewall_rules
from dtk.state.model import State
from dtk.targets import EMBEDDED

SOURCE = "192.0.2.0/24"
OPENED = State("s", "l", open_ports={SOURCE: (8080, 9090)})


def target(**settings: Any) -> Target:
    return Target("cloud", EC2, {"open_to": ["192.0.2.7/24"], **settings})


def test_what_is_no_longer_declared_is_closed_and_what_is_new_opened() -> None:
    assert firewall_rules(target(), [9090, 7070], OPENED) == (
        FirewallRule("close", 8080, SOURCE),
        FirewallRule("open", 7070, SOURCE),
        FirewallRule("keep", 9090, SOURCE),
    )


def test_while_a_port_is_not_known_nothing_is_closed() -> None:
    rules = firewall_rules(target(), [7070, None], OPENED)
    assert {rule.change for rule in rules} == {"open", "keep"}


def test_groups_that_people_named_and_other_targets_are_let_be() -> None:
    assert firewall_rules(target(security_groups=["sg-1"]), [7070], OPENED) == ()
    assert firewall_rules(EMBEDDED, [7070], OPENED) == ()


def test_a_range_that_is_none_is_told_by_the_plan() -> None:
    with pytest.raises(InvalidError, match="open_to of target 'cloud'"):
        firewall_rules(target(open_to="anybody"), [7070], OPENED)
