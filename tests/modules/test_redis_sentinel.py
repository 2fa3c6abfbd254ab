"""dtk:redis/sentinel on real local nodes: Sentinels replace a primary that ends, and before its node is removed.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modules.changed import changed_by_create
from tests.support.command_line import Dtk
from tests.support.waiting import eventually

SERVICE = "redis1"
PASSWORD: Any = {"REDIS_PASSWORD": 'it\'s a "secret" of 7'}
NODES = ("servers:1", "servers:2", "servers:3")


@pytest.fixture
def dtk(tmp_path: Path) -> Iterator[Dtk]:
    made = Dtk(tmp_path)
    made.run("init")
    yield made
    made.run("delete-and-destroy", SERVICE, "--yes", "--force", code=None, **PASSWORD)


def on(dtk: Dtk, node: str, command: str) -> str:
    return dtk.run("ssh", SERVICE, node, "--", command, code=None, **PASSWORD).stdout.strip()


def primary(dtk: Dtk, asked: str) -> str:
    """Return the node that a node's Sentinel says is the primary."""
    address = on(dtk, asked, "redis/member.sh primary").partition(":")[0]
    return next((node for node, own in dtk.addresses(SERVICE).items() if own == address), "")


def asked(dtk: Dtk, node: str, words: str) -> str:
    script = f'here=$HOME/redis; . redis/environment.sh; "$bin/redis-cli" -h "$host" -p "$port" {words}'
    return on(dtk, node, script)


def everything_written(root: Path) -> str:
    folder = root / ".dtk/services" / SERVICE
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def servers_follow_the_first_one(dtk: Dtk) -> None:
    password = "servers/redis::member/password=env:REDIS_PASSWORD"
    dtk.run("stage", "dtk:redis/sentinel", SERVICE, "--set", password, "--set", "servers/redis::member/down_after=1")
    assert dtk.run("apply", SERVICE, "--yes", **PASSWORD).stdout.count("read on ") == 3
    assert [primary(dtk, node) for node in NODES] == ["servers:1"] * 3
    asked(dtk, "servers:1", "SET kept 'since the beginning'")
    dtk.run("converge", SERVICE, "--yes", **PASSWORD)
    assert changed_by_create(dtk, SERVICE, 2) == []


def a_primary_that_ends_is_replaced_and_follows_when_it_is_back(dtk: Dtk) -> None:
    on(dtk, "servers:1", "daemon/daemon.sh stop redis")
    eventually(lambda: primary(dtk, "servers:3") in NODES[1:], "another server is the primary")
    dtk.run("converge", SERVICE, "--yes", **PASSWORD)
    assert asked(dtk, "servers:1", "INFO replication").splitlines()[1].strip() == "role:slave"
    assert asked(dtk, "servers:1", "GET kept") == "since the beginning"


def a_primary_whose_node_is_removed_is_replaced_before(dtk: Dtk) -> None:
    while primary(dtk, "servers:1") != "servers:3":
        before = primary(dtk, "servers:1")
        dtk.run("exec", SERVICE, "fail_over", **PASSWORD)
        assert primary(dtk, "servers:1") != before
    dtk.run("set-attribute", SERVICE, "servers/cardinality", "2")
    assert dtk.run("apply", SERVICE, "--yes", **PASSWORD).stdout.count("read on ") == 2
    assert primary(dtk, "servers:1") in NODES[:2]
    assert asked(dtk, "servers:2", "GET kept") == "since the beginning"


def test_sentinels_replace_a_primary(dtk: Dtk) -> None:
    """Run the steps in order; each continues from the previous one, and its name says what it checks."""
    servers_follow_the_first_one(dtk)
    a_primary_that_ends_is_replaced_and_follows_when_it_is_back(dtk)
    a_primary_whose_node_is_removed_is_replaced_before(dtk)
    assert PASSWORD["REDIS_PASSWORD"] not in everything_written(dtk.root)
