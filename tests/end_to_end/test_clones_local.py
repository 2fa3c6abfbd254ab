"""A service on local nodes, used from clones on the same machine: its nodes are created only once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtk.nodes.local.processes import running_servers
from tests.end_to_end.test_clones import clone
from tests.end_to_end.test_identity import id_of
from tests.support.command_line import Dtk

NODES = ["master", "slaves:1", "slaves:2"]


@pytest.fixture
def origin(dtk: Dtk, module: Path) -> Iterator[Dtk]:
    """Stage the service that clones work on; on teardown, destroy what the clones created."""
    dtk.run("stage", "acme:ring/cluster", "app1")
    # Teardown looks at the folders beside it, because no clone owns the service.
    yield dtk
    for root in dtk.root.parent.iterdir():
        Dtk(root).run("delete-and-destroy", "app1", "--yes", "--force", code=None)


def nodes_of(origin: Dtk) -> list[str]:
    """Return the nodes of the service whose servers run, from any clone; one entry for each server."""
    lineage = id_of(origin, "app1") or "none"
    return sorted(marker.partition("/")[2] for marker in running_servers() if marker.startswith(lineage))


def test_three_clones_make_a_service_on_local_nodes_once(origin: Dtk) -> None:
    one = clone(origin, "one")
    one.run("apply", "app1", "--yes")
    made = {
        marker: server.started
        for marker, server in running_servers().items()
        if server.settings.is_relative_to(one.root)
    }
    assert nodes_of(origin) == NODES
    two = clone(origin, "two")
    for words in (["apply", "app1", "--yes"], ["stop", "app1"], ["exec", "app1", "smoke_test"], ["start", "app1"]):
        refused = two.run(*words, code=5)
        assert "3 machines of service 'app1' exist that this folder does not know" in refused.stderr, words
        assert "Nothing to do" not in refused.stdout
    two.run("list-nodes", "--orphans", "--adopt")
    assert "this apply verifies it" in two.run("plan", "app1").stdout
    two.run("apply", "app1", "--yes")
    assert "Nothing to do" in two.run("plan", "app1").stdout
    assert {marker: running_servers()[marker].started for marker in made} == made, "none was made or started again"
    # The second clone owns the nodes from now on: it stops, starts and logs in to them. A third clone destroys them.
    two.run("stop", "app1")
    two.run("start", "app1")
    assert two.run("ssh", "app1", "slaves:1", "--", "basename $HOME").stdout == "slaves.1\n"
    clone(origin, "three").run("delete-and-destroy", "app1", "--yes")
    assert nodes_of(origin) == []
    assert "is gone" in one.run("plan", "app1", "--refresh").stdout
    # The delete actions can't run any more, and the first clone need not force anything.
    one.run("delete-and-destroy", "app1", "--yes")
    assert not (one.root / "services/app1").exists()


def test_two_clones_that_begin_at_once_do_not_both_have_local_nodes(origin: Dtk) -> None:
    one, two = clone(origin, "one"), clone(origin, "two")
    one.run("apply", "app1", "--yes")
    # As if both had checked before either created anything: the second state has a node under its own id.
    shutil.copytree(one.root / ".dtk/services", two.root / ".dtk/services")
    state = two.root / ".dtk/services/app1/state.json"
    text = state.read_text()
    begun = text[text.index('"origin": "') + 11 :][:36]
    state.write_text(
        text.replace(begun, "11111111-2222-4333-8444-555555555555").replace('"slaves:2": {', '"gone": {', 1)
    )
    refused = two.run("apply", "app1", "--yes", code=1).stdout
    assert "another clone is creating the machines of service 'app1': slaves:2 runs from" in refused
    assert nodes_of(origin) == NODES
