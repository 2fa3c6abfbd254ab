"""Tests that a state moved to another folder or user refers to the files there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from dtk.state import changes
from dtk.state.model import NodeState, State
from dtk.state.store import journal_of, load_state
from dtk.state.writer import StateStore


def test_the_services_own_key_is_a_word_on_disk_and_the_key_beside_the_state_where_it_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "one" / ".dtk" / "services" / "app1"
    file, own = folder / "state.json", str(folder / "keys" / "id_ed25519")
    store = StateStore(file, State("app1", "lineage"))
    store.change(lambda state: changes.with_node(state, "master", NodeState("i-1", "running", {"key": own})))
    store.change(lambda state: changes.with_node(state, "slaves:1", NodeState("i-2", "running", {"key": own})))
    store.change(lambda state: changes.with_node(state, "slaves:2", NodeState("i-3", "running", {"key": "/team.pem"})))
    written = file.read_text() + journal_of(file).read_text()
    assert str(tmp_path) not in written
    moved = tmp_path / "two" / ".dtk" / "services" / "app1"
    shutil.copytree(folder, moved)
    state = load_state(moved / "state.json")
    assert state is not None
    there = str(moved / "keys" / "id_ed25519")
    assert [node.connection["key"] for node in state.nodes.values()] == [there, there, "/team.pem"]


def test_the_path_that_an_earlier_dtk_wrote_on_another_machine_is_the_key_that_is_here(tmp_path: Path) -> None:
    file = tmp_path / ".dtk" / "services" / "app1" / "state.json"
    file.parent.mkdir(parents=True)
    key = "/home/ci/workspace/.dtk/services/app1/keys/id_ed25519"
    node = {"id": "i-1", "status": "running", "connection": {"key": key}, "attributes": {}}
    document = {"format_version": 1, "service": "app1", "lineage": "l", "serial": 1, "nodes": {"master": node}}
    file.write_text(json.dumps(document))
    state = load_state(file)
    assert state is not None
    assert state.nodes["master"].connection["key"] == str(file.parent / "keys" / "id_ed25519")
