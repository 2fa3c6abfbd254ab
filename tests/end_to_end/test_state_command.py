"""``dtk state``: move a service into a shared store and back, inspect, restore and unlock it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dtk.store.folder_objects import FolderObjects
from dtk.store.layout import ServiceKeys
from dtk.store.lease import LeaseRequest, Tools, acquire, new_lease
from tests.end_to_end.test_clones import clone
from tests.end_to_end.test_identity import id_of
from tests.support.command_line import Dtk
from tests.support.recorded_tasks import failed

CLUSTER = "acme:ring/cluster"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "store"


def unshare(dtk: Dtk) -> None:
    """Remove the store from a workspace's dtk.yaml."""
    yaml = dtk.root / "dtk.yaml"
    yaml.write_text("".join(line for line in yaml.read_text().splitlines(keepends=True) if "store:" not in line))


def change_state(dtk: Dtk, service: str = "app1", **changed: object) -> None:
    """Write a service's state here with the given fields, as if tasks had got that far."""
    file = dtk.root / ".dtk/services" / service / "state.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changed}))


def share(dtk: Dtk, store: Path) -> None:
    """Add a store to a workspace's dtk.yaml."""
    with (dtk.root / "dtk.yaml").open("a") as file:
        file.write(f"store: {{type: folder, path: {store}}}\n")


def test_a_service_goes_into_the_store_and_back_with_its_tasks_and_its_key(dtk: Dtk, module: Path, store: Path) -> None:
    refused = dtk.run("state", "list", code=2).stderr
    assert "dtk.yaml names no shared store" in refused
    dtk.run("deploy", CLUSTER, "app1")
    tasks, key = dtk.json("list-tasks", "app1"), (dtk.root / ".dtk/services/app1/keys/id_ed25519").read_text()
    share(dtk, store)
    assert "app1: copied to" in dtk.run("state", "push", "--all").stdout
    assert "app1: already in" in dtk.run("state", "push", "app1").stdout
    (row,) = dtk.json("state", "list")
    assert (row["service"], row["last_task"], row["held_by"], row["destroyed"]) == ("app1", len(tasks), None, False)
    # The key has a prefix of its own, because only those who run tasks may read it.
    holding_key = [path for path in store.rglob("*") if path.is_file() and key.strip() in path.read_text()]
    assert holding_key == [store / "access/app1/id_ed25519"]

    two = clone(dtk, "two")
    assert "Nothing to do" in two.run("plan", "app1").stdout
    assert two.json("list-tasks", "app1") == tasks
    assert two.json("state", "show", "app1")["nodes"].keys() == {"master", "slaves:1", "slaves:2"}

    three = clone(dtk, "three")
    assert ", tasks and keys from the store" in three.run("state", "pull", "--all").stdout
    unshare(three)
    assert three.json("list-tasks", "app1") == tasks
    assert (three.root / ".dtk/services/app1/tasks/1/plan.json").is_file()
    assert "Nothing to do" in three.run("plan", "app1").stdout
    assert three.run("ssh", "app1", "master", "--", "basename $HOME").stdout == "master\n"


def staged_as_used(dtk: Dtk) -> None:
    """Create a service with a state that a task has left."""
    dtk.run("stage", CLUSTER, "app1")
    change_state(dtk, serial=7, last_task=1)


def state_of(dtk: Dtk) -> Any:
    return json.loads((dtk.root / ".dtk/services/app1/state.json").read_text())


def test_without_its_store_a_service_is_neither_planned_nor_changed(dtk: Dtk, module: Path, store: Path) -> None:
    staged_as_used(dtk)
    share(dtk, store)
    dtk.run("state", "push", "app1")
    two = clone(dtk, "two")
    two.run("plan", "app1")
    for one in (dtk, two):
        unshare(one)
        for words in (["plan", "app1"], ["apply", "app1", "--yes"], ["list-nodes", "app1"], ["ls"]):
            refused = one.run(*words, code=1).stderr
            assert f"the state of 'app1' is in {store}, but dtk.yaml no longer names a store" in refused, words
            assert "dtk state pull app1" in refused
        assert "app1: as of 2" in one.run("list-nodes", "app1", "--offline").stderr
        assert "is a copy" in one.run("apply", "app1", "--yes", "--offline", code=1).stderr
        # The moved state has a higher format version, which a dtk without store support refuses to read.
        assert (state_of(one)["format_version"], state_of(one)["moved_to"]) == (2, str(store))
    share(dtk, store)
    dtk.run("state", "pull", "app1")
    unshare(dtk)
    dtk.run("plan", "app1")
    assert (state_of(dtk)["format_version"], state_of(dtk).get("moved_to")) == (1, None)
    (kept,) = store.glob("services/app1/states/*")
    assert "moved_to" not in kept.read_text()


def test_another_store_gets_a_service_only_from_the_one_before(
    dtk: Dtk, module: Path, store: Path, tmp_path: Path
) -> None:
    staged_as_used(dtk)
    share(dtk, store)
    dtk.run("state", "push", "app1")
    unshare(dtk)
    share(dtk, tmp_path / "other")
    for words in (["plan", "app1"], ["apply", "app1", "--yes"]):
        refused = dtk.run(*words, code=1).stderr
        assert f"was read from the store {store}, but dtk.yaml names the store {tmp_path / 'other'}, which" in refused
    assert f"is a copy of the state in {store}" in dtk.run("state", "push", "app1", code=2).stderr
    unshare(dtk)
    share(dtk, store)
    dtk.run("state", "pull", "--all")
    unshare(dtk)
    share(dtk, tmp_path / "other")
    dtk.run("state", "push", "--all")
    dtk.run("plan", "app1")
    # The same store at another path is still the same store.
    (tmp_path / "other").rename(tmp_path / "moved")
    unshare(dtk)
    share(dtk, tmp_path / "moved")
    dtk.run("plan", "app1")
    assert state_of(dtk)["moved_to"] == str(tmp_path / "moved")


def test_a_state_that_never_was_in_the_store_is_not_lost_to_the_one_there(dtk: Dtk, module: Path, store: Path) -> None:
    staged_as_used(dtk)
    two = Dtk(Path(shutil.copytree(dtk.root, dtk.root.parent / "two")))
    change_state(two, serial=9)
    share(two, store)
    alone = two.run("plan", "app1").stderr
    assert f"app1: the local state is not in {store}; to copy it there: dtk state push app1" in alone
    assert "upload it: dtk state push app1" in two.run("apply", "app1", "--yes", code=1).stderr
    share(dtk, store)
    dtk.run("state", "push", "app1")
    for words in (["plan", "app1"], ["apply", "app1", "--yes"]):
        refused = two.run(*words, code=1).stderr
        assert f"here (serial 9, 0 nodes) is not in {store}, which has serial 7" in refused
        assert "dtk state push app1 --force" in refused
        assert "dtk state pull app1" in refused
    assert state_of(two)["serial"] == 9
    two.run("state", "push", "app1", "--force")
    two.run("plan", "app1")
    dtk.run("plan", "app1")
    assert state_of(dtk)["serial"] == 9


def test_three_services_with_forty_tasks_go_there_and_back_and_a_second_push_writes_nothing(
    dtk: Dtk, module: Path, store: Path
) -> None:
    tasks = {"app1": 14, "app2": 13, "app3": 13}
    for service, count in tasks.items():
        dtk.run("stage", CLUSTER, service)
        change_state(dtk, service, serial=count, last_task=count)
        for number in range(1, count + 1):
            folder = dtk.root / f".dtk/services/{service}/tasks/{number}"
            folder.mkdir(parents=True)
            failed(folder / "events.jsonl").log.close()
            (folder / "plan.json").write_text(f'{{"plan": {number}}}')
    before = {service: task_files(dtk, service) for service in tasks}
    share(dtk, store)
    assert dtk.run("state", "push", "--all").stdout.count("copied to") == 3
    written = write_times(store)
    assert len(written) > 2 * 40
    assert dtk.run("state", "push", "--all").stdout.count("already in") == 3
    assert write_times(store) == written
    two = clone(dtk, "two")
    two.run("state", "pull", "--all")
    unshare(two)
    for service, count in tasks.items():
        assert [row["task"] for row in two.json("list-tasks", service)] == list(range(count, 0, -1))
        assert task_files(two, service) == before[service]


def write_times(store: Path) -> dict[Path, int]:
    """Return when each object but the heads was last written; a push changes the head, which names the holder."""
    objects = (path for path in store.rglob("*") if path.is_file() and path.name != "head.json" and path.name[0] != ".")
    return {path: path.stat().st_mtime_ns for path in objects}


def task_files(dtk: Dtk, service: str) -> dict[str, bytes]:
    """Return the plans and logs of a service's tasks."""
    tasks = dtk.root / ".dtk/services" / service / "tasks"
    names = ("events.jsonl", "plan.json")
    return {str(path.relative_to(tasks)): path.read_bytes() for path in tasks.rglob("*") if path.name in names}


def test_what_is_hidden_is_not_shown(dtk: Dtk, module: Path, store: Path) -> None:
    dtk.run("stage", CLUSTER, "app1")
    one = {"module": "acme/ring", "action_digest": "x", "attributes": {"token": "squeamish"}, "task": 1}
    applied = {"master": {"ring::hub": {**one, "hidden": ["token"]}}}
    change_state(dtk, applied=applied, attributes={"master/ring::hub/token": "squeamish"}, last_task=1, serial=4)
    share(dtk, store)
    dtk.run("state", "push", "app1")
    shown = dtk.run("state", "show", "app1").stdout
    assert shown.count("(hidden)") == 2
    assert "squeamish" not in shown


def test_a_push_over_what_others_have_is_refused(dtk: Dtk, module: Path, store: Path) -> None:
    dtk.run("stage", CLUSTER, "app1")
    change_state(dtk, serial=7)
    share(dtk, store)
    dtk.run("state", "push", "app1")
    kept = shutil.copytree(dtk.root / ".dtk", dtk.root.parent / "kept")

    def here(**changed: object) -> None:
        """Restore the saved .dtk folder and change its state, as if tasks had run here without the store."""
        shutil.rmtree(dtk.root / ".dtk")
        shutil.copytree(kept, dtk.root / ".dtk")
        change_state(dtk, "app1", **changed)

    here(serial=6)
    assert "the store has a newer state of 'app1'" in dtk.run("state", "push", "app1", code=1).stderr
    here(serial=12)
    refused = dtk.run("state", "push", "app1", code=2).stderr
    assert "the store has an older state of 'app1'" in refused
    assert "--force" in refused
    assert "copied to" in dtk.run("state", "push", "app1", "--force").stdout
    assert dtk.json("state", "list")[0]["serial"] == 12
    other = "11111111-2222-4333-8444-555555555555"
    here(lineage=other)
    refused = dtk.run("state", "push", "app1", code=1).stderr
    assert "the store has another service called 'app1'" in refused
    assert id_of(dtk, "app1") in refused
    assert other in refused


def test_an_earlier_state_is_put_back_where_the_current_one_is_damaged(dtk: Dtk, module: Path, store: Path) -> None:
    dtk.run("stage", CLUSTER, "app1")
    change_state(dtk, serial=7)
    share(dtk, store)
    dtk.run("state", "push", "app1")
    change_state(dtk, serial=8)
    dtk.run("state", "push", "app1", "--force")
    history = [(one["serial"], one["current"]) for one in dtk.json("state", "history", "app1")]
    assert history == [(8, True), (7, False)]
    (current,) = store.glob("services/app1/states/00000008-*")
    current.write_text("{")
    two = clone(dtk, "two")
    assert "state 8 in the store is damaged" in two.run("plan", "app1", code=1).stderr
    assert "damaged" in two.run("state", "history", "app1").stdout
    assert "Cannot ask: there is no terminal" in two.run("state", "restore", "app1", "7", code=2).stderr
    restored = two.run("state", "restore", "app1", "7", "--yes").stdout
    assert "State 7 contains 0 nodes" in restored
    assert "State 7 is current again, with serial 9" in restored
    two.run("plan", "app1")
    assert "is not in the store" in two.run("state", "restore", "app1", "9999", "--yes", code=2).stderr


def test_a_service_is_taken_from_its_holder_by_hand(dtk: Dtk, module: Path, store: Path) -> None:
    dtk.run("stage", CLUSTER, "app1")
    share(dtk, store)
    tools = Tools(FolderObjects(store), sleep=lambda _: None)
    lineage = id_of(dtk, "app1")
    held = acquire(tools, LeaseRequest("app1", lineage, new_lease("ci-7", "ci", "dtk apply app1", 60.0)))
    assert dtk.json("state", "list")[0]["held_by"] == "'dtk apply app1' (ci@ci-7)"
    asked = dtk.run("state", "unlock", "app1", code=2)
    assert "is held by 'dtk apply app1' (ci@ci-7); its last heartbeat was " in asked.stdout
    assert "two tasks may run at once" in asked.stdout
    assert "its lock expires 75 s after that heartbeat" in asked.stdout
    assert dtk.json("state", "list")[0]["held_by"]
    assert "'app1' is unlocked" in dtk.run("state", "unlock", "app1", "--yes").stdout
    assert dtk.json("state", "list")[0]["held_by"] is None
    assert "'app1' is not locked" in dtk.run("state", "unlock", "app1").stdout
    head = json.loads((store / ServiceKeys("app1").head).read_text())
    with pytest.raises(Exception, match="superseded"):
        held.beat()
    assert json.loads((store / ServiceKeys("app1").head).read_text()) == head
