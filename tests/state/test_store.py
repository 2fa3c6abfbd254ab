"""Tests of state.json: replaced atomically, previous versions kept, refused if unreadable."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from dtk.disk.files import make_private_folder, replace_file
from dtk.errors import DtkError
from dtk.model.value import Known
from dtk.state import changes
from dtk.state.document import from_document, to_document
from dtk.state.model import Applied, NodeState, State, Unfinished
from dtk.state.store import load_state, new_state, save_state
from dtk.state.writer import StateStore

SCHEMA = Path(__file__).parents[2] / "schemas/state.schema.json"


def full_state() -> State:
    state = new_state("dask1")
    state = changes.with_node(state, "master", NodeState("i-1", "running", {"hostname": "10.0.0.5"}, {"home": "/root"}))
    state = changes.with_attributes(state, {"master/m::c/port": 8786, "multi/joined": ["a"]})
    state = changes.with_applied(state, "master", "m::c", Applied("test/mod", "sha256:0", {"x": Known(None)}, 1))
    return changes.with_success(
        changes.with_task_begun(state, Unfinished(1, "create"), resumes=False), "master m::c.create", "d"
    )


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "service" / "state.json"
    state = full_state()
    save_state(file, state)
    assert load_state(file) == state
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_written_state_is_what_its_schema_says() -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    for state in (new_state("dask1"), full_state()):
        jsonschema.validate(to_document(state), schema)


def test_a_service_without_state_has_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.json") is None
    assert new_state("a").lineage != new_state("a").lineage


def test_every_change_is_on_disk_with_a_serial_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    store = StateStore(file, new_state("dask1"))
    store.change(lambda state: changes.with_attributes(state, {"a/b/c": 1}))
    store.change(lambda state: changes.with_attributes(state, {"a/b/c": 1}))
    store.change(lambda state: changes.with_attributes(state, {"a/b/c": 2}))
    assert load_state(file) == store.state
    assert (store.state.serial, store.state.attributes) == (2, {"a/b/c": 2})


def test_the_last_three_versions_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    for serial in range(1, 7):
        save_state(file, State("dask1", "l", serial))
    kept = {path.name: json.loads(path.read_text())["serial"] for path in tmp_path.iterdir()}
    assert kept == {"state.json": 6, "state.json.1": 5, "state.json.2": 4, "state.json.3": 3}


def test_a_broken_state_is_told_with_the_versions_that_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    for serial in (1, 2):
        save_state(file, State("dask1", "l", serial))
    file.write_text('{"format_version": 1, "ser')
    with pytest.raises(DtkError, match="is broken") as raised:
        load_state(file)
    assert str(tmp_path / "state.json.1") in raised.value.hint


def test_a_state_of_a_newer_dtk_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text(json.dumps({**to_document(new_state("dask1")), "format_version": 3, "more": 1}))
    with pytest.raises(DtkError, match="newer dtk"):
        load_state(file)


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    (tmp_path / "state.json.1").touch()
    no_number = '{"format_version": 1, "service": "x", "lineage": "y", "serial": "z"}'
    for text in ("[]", "{}", '{"format_version": 1, "service": "x"}', no_number):
        file.write_text(text)
        with pytest.raises(DtkError, match="is broken: it is not a state: ") as refused:
            load_state(file)
        assert f"({file}.1)" in refused.value.hint
        assert refused.value.hint.endswith(f"dtk state rebuild {tmp_path.name}")


def test_a_broken_state_says_where_in_it() -> None:
    document = json.loads(json.dumps(to_document(full_state())))
    document["nodes"]["master"]["status"] = 5
    with pytest.raises(ValueError, match=r"^it is not a state: nodes\.master\.status has the wrong type$"):
        from_document(document, "state.json")
    del document["nodes"]["master"]["status"]
    with pytest.raises(ValueError, match=r"^it is not a state: nodes\.master has no status$"):
        from_document(document, "state.json")


def test_a_write_that_does_not_fit_leaves_the_old_content_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    replace_file(file, "old")
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from dtk.disk.files import replace_file\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "try:\n"
        "    replace_file(Path(sys.argv[1]), 'x' * 1000, keep_versions=3)\n"
        "except OSError:\n"
        "    sys.exit(7)\n"
    )
    assert subprocess.run([sys.executable, "-c", program, str(file)], check=False).returncode == 7
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert file.read_text() == "old"


def test_private_folders_are_private_to_the_top(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        make_private_folder(tmp_path / ".dtk/services/dask1")
    finally:
        os.umask(before)
    assert (tmp_path / ".dtk").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / ".dtk/services").stat().st_mode & 0o777 == 0o700


def test_a_node_that_goes_takes_all_that_was_known_of_it_along() -> None:
    state = changes.with_node(full_state(), "master2", NodeState("i-2", "running"))
    state = changes.with_attributes(state, {"master2/m::c/port": 1})
    gone = changes.without_node(state, "master")
    assert list(gone.nodes) == ["master2"]
    assert gone.attributes == {"multi/joined": ["a"], "master2/m::c/port": 1}
    assert gone.applied == {}


def test_a_component_that_goes_takes_its_values_along() -> None:
    state = changes.with_applied(full_state(), "master", "m::c[x]", Applied("test/mod", "sha256:0"))
    gone = changes.without_applied(state, "master", "m::c")
    assert list(gone.applied["master"]) == ["m::c[x]"]
    assert gone.attributes == {"multi/joined": ["a"]}


def test_a_converge_stays_to_be_resumed_after_what_is_run_in_between(tmp_path: Path) -> None:
    failed = full_state()
    between = Unfinished(2, "m::c.fix", parameters={"k": "v"}, only=("master",))
    running = changes.with_task_begun(failed, between, resumes=False)
    again = changes.with_task_begun(running, replace(between, task=3), resumes=True)
    save_state(tmp_path / "state.json", again)
    assert load_state(tmp_path / "state.json") == again
    jsonschema.validate(to_document(again), json.loads(SCHEMA.read_text()))
    assert changes.with_task_succeeded(again).unfinished == failed.unfinished
    anew = changes.with_task_begun(again, Unfinished(4, "create"), resumes=False)
    assert changes.with_task_succeeded(anew).unfinished is None


def test_only_a_task_that_resumes_keeps_what_had_succeeded() -> None:
    state = full_state()
    resumed = changes.with_task_begun(state, Unfinished(2, "create"), resumes=True).unfinished
    fresh = changes.with_task_begun(state, Unfinished(2, "create"), resumes=False).unfinished
    assert resumed is not None
    assert fresh is not None
    assert (resumed.task, resumed.succeeded, fresh.succeeded) == (2, {"master m::c.create": "d"}, {})


def test_what_is_unfinished_of_one_workflow_is_never_taken_for_anothers() -> None:
    failed = full_state()
    running = changes.with_task_begun(failed, Unfinished(2, "m::c.fix"), resumes=False)
    assert running.unfinished is not None
    assert running.unfinished.of("m::c.fix") == running.unfinished
    assert running.unfinished.of("create") == failed.unfinished
    assert running.unfinished.of("smoke_test") is None
