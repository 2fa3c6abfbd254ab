"""dtk:etcd on real local nodes: a cluster forms, grows, restarts member by member, shrinks; no data is lost.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

from tests.modules.changed import changed_by_create
from tests.support.command_line import Dtk

SERVICE = "etcd1"


def asked(dtk: Dtk, node: str, words: str) -> str:
    script = f'here=$HOME/etcd; . etcd/environment.sh; etcdctl --endpoints "$client_url" {words}'
    return dtk.run("ssh", SERVICE, node, "--", script).stdout


def members(dtk: Dtk, node: str) -> list[str]:
    return sorted(line.split(", ")[2] for line in asked(dtk, node, "member list").splitlines())


def test_members_know_their_peers_from_the_first_to_the_last(dtk: Dtk) -> None:
    shown = dtk.run("deploy", "dtk:etcd/cluster", SERVICE).stdout
    assert shown.count("read on http://") == 3
    asked(dtk, "members:1", "put kept 'since the beginning'")
    dtk.run("converge", SERVICE, "--yes")
    assert changed_by_create(dtk, SERVICE, 2) == []

    dtk.run("set-attribute", SERVICE, "members/cardinality", "5")
    assert dtk.run("apply", SERVICE, "--yes").stdout.count("read on http://") == 5
    assert members(dtk, "members:4") == ["members:1", "members:2", "members:3", "members:4", "members:5"]
    assert [line.endswith(", false") for line in asked(dtk, "members:1", "member list").splitlines()] == [True] * 5
    assert "promote" in dtk.run("logs", SERVICE, "members:4").stdout
    assert asked(dtk, "members:5", "get kept --print-value-only") == "since the beginning\n"

    dtk.run("exec", SERVICE, "rolling_restart")
    steps = [event for event in dtk.events(SERVICE, 4) if event["type"] in ("step.started", "step.finished")]
    assert [event["type"] for event in steps] == ["step.started", "step.finished"] * 5

    dtk.run("set-attribute", SERVICE, "members/cardinality", "3")
    assert dtk.run("apply", SERVICE, "--yes").stdout.count("read on http://") == 3
    assert members(dtk, "members:1") == ["members:1", "members:2", "members:3"]
    assert asked(dtk, "members:2", "get kept --print-value-only") == "since the beginning\n"
