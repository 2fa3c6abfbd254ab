"""dtk:zookeeper on real local nodes: an ensemble forms and keeps its data; in the long form, it grows.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

from tests.modules.changed import changed_by_create
from tests.reliability.forms import IS_LONG
from tests.support.command_line import Dtk

SERVICE = "zoo1"


def asked(dtk: Dtk, node: str, words: str) -> str:
    return dtk.run("ssh", SERVICE, node, "--", f"zookeeper/zookeeper.sh cli {words}").stdout


def a_server_more_reads_what_was_written_before(dtk: Dtk) -> None:
    dtk.run("set-attribute", SERVICE, "servers/cardinality", "3")
    assert dtk.run("apply", SERVICE, "--yes").stdout.count("read on ") == 3
    assert "since-the-beginning" in asked(dtk, "servers:3", "get /kept")


def test_servers_agree_from_the_first_to_the_last(dtk: Dtk) -> None:
    dtk.run("stage", "dtk:zookeeper/ensemble", SERVICE, "--set", "servers/cardinality=2")
    assert dtk.run("apply", SERVICE, "--yes").stdout.count("read on ") == 2
    asked(dtk, "servers:1", "create /kept since-the-beginning")
    dtk.run("converge", SERVICE, "--yes")
    assert changed_by_create(dtk, SERVICE, 2) == []
    if IS_LONG:
        a_server_more_reads_what_was_written_before(dtk)
    dtk.run("delete-component", SERVICE, "servers/zookeeper::server")
    dtk.run("apply", SERVICE, "--yes")
    assert dtk.run("ssh", SERVICE, "servers:1", "--", "daemon/daemon.sh status zookeeper", code=None).returncode != 0
