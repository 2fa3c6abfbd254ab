"""Tests of module files: the plan records their content, and the node receives exactly that content."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from dtk.errors import StalePlanError
from dtk.events.fold import fold
from dtk.events.log_reader import read_log
from dtk.views.snapshot_table import render_snapshot
from dtk.views.stream import stream
from tests.apply.lab import Lab, Result, action, operation, run, stage

FILES = {
    "files/plain.bin": b"\x00\xff binary",
    "files/config.j2": b"port={{ port }} {{ extra | default('') }}\n",
    "tree/a.txt": b"a",
    "tree/deep/b.txt": b"b",
    "files/run.sh": b"#!/bin/sh\necho ran with $1 > script\n",
}


@pytest.fixture
def module(lab: Lab) -> Path:
    folder = lab.workspace.root / "modules/test/mod"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def digests(*names: str) -> dict[str, str]:
    return {name: hashlib.sha256(FILES[name]).hexdigest() for name in names}


def add(source: str, target: Path, **more: Any) -> dict[str, Any]:
    return {"kind": "add", "source": source, "target": str(target), **more}


def applied(lab: Lab, module: Path, *items: dict[str, Any]) -> Result:
    one = action("master", "m::c", *items, attributes={"port": 8786}, files=digests(*FILES))
    return lab.apply(stage(1, one), modules={"test/mod": module})


def test_add_puts_files_and_templates_and_changes_nothing_the_second_time(lab: Lab, module: Path) -> None:
    home = lab.add_node("master").home
    items = (
        add("files/plain.bin", home / "new/plain.bin", mode="640"),
        add("files/config.j2", home / "config", template=True),
    )
    first, second = applied(lab, module, *items), applied(lab, module, *items)
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert (home / "new/plain.bin").read_bytes() == FILES["files/plain.bin"]
    assert (home / "new/plain.bin").stat().st_mode & 0o777 == 0o640
    assert (home / "config").read_text() == "port=8786 \n"
    assert [e["changed"] for e in first.of("operation.finished")] == [True, True]
    assert [e["changed"] for e in second.of("operation.finished")] == [False, False]


def test_operations_find_their_files_and_render_templates_in_the_sandbox(lab: Lab, module: Path) -> None:
    home = lab.add_node("master").home
    result = applied(
        lab,
        module,
        operation("files.template", {"src": "files/config.j2", "dest": str(home / "config"), "extra": "more"}),
        operation("files.sync", {"src": "tree", "dest": str(home / "tree")}),
        operation("server.script", {"src": "files/run.sh", "args": ["this"]}),
    )
    assert result.exit_code == 0, result.events
    assert (home / "config").read_text() == "port=8786 more\n"
    assert (home / "tree/deep/b.txt").read_text() == "b"
    assert (home / "script").read_text() == "ran with this\n"


def test_a_template_can_not_reach_into_this_process(lab: Lab, module: Path) -> None:
    home = lab.add_node("master").home
    content = b"{{ ''.__class__.__mro__ }} {{ host.connector }}"
    (module / "files/evil").write_bytes(content)
    evil = operation("files.template", {"src": "files/evil", "dest": str(home / "evil")})
    one = action("master", "m::c", evil, files={"files/evil": hashlib.sha256(content).hexdigest()})
    assert lab.apply(stage(1, one), modules={"test/mod": module}).exit_code == 1
    assert not (home / "evil").exists()


def test_a_file_that_has_changed_since_makes_the_plan_stale(lab: Lab, module: Path) -> None:
    lab.add_node("master")
    (module / "tree/a.txt").write_text("other")
    with pytest.raises(StalePlanError, match=r"tree/a\.txt of module test/mod has changed"):
        applied(lab, module)
    assert lab.workspace.task_numbers("dask1") == []


def test_a_plan_of_another_state_is_refused(lab: Lab) -> None:
    lab.add_node("master")
    with pytest.raises(StalePlanError, match="has changed since the plan was made"):
        lab.apply(serial=lab.state.serial + 1)
    with pytest.raises(StalePlanError, match="an earlier service with the name"):
        lab.apply(lineage="another")


def test_no_other_file_of_this_machine_gets_to_a_node(lab: Lab, module: Path, tmp_path: Path) -> None:
    home = lab.add_node("master").home
    (tmp_path / "private").write_text("mine")
    for source in (str(tmp_path / "private"), "../../../client_key"):
        put = operation("files.put", {"src": source, "dest": str(home / "taken")})
        assert "not a file of the module" in applied(lab, module, put).step("1.1")["error"]["message"]
    get = operation("files.get", {"src": "/etc/hostname", "dest": str(tmp_path / "hostname")})
    assert "files.get is not supported" in applied(lab, module, get).step("1.1")["error"]["message"]
    assert not (tmp_path / "hostname").exists()


def test_operations_that_run_on_this_machine_are_refused(lab: Lab) -> None:
    lab.add_node("master")
    local = operation("python.raise_exception", {"exception": "x"})
    result = lab.apply(stage(1, action("master", "m::c", local)))
    assert "not one of the operations that run on nodes" in result.step("1.1")["error"]["message"]


def test_blanks_around_the_blocks_of_a_template_are_left_out_where_that_is_wanted(lab: Lab, module: Path) -> None:
    home = lab.add_node("master").home
    text = b"{% for n in [1, 2] %}\n  {% if true %}\nn{{ n }}\n  {% endif %}\n{% endfor %}\n"
    (module / "files/loop.j2").write_bytes(text)
    arguments = {"src": "files/loop.j2", "dest": str(home / "tight")}
    blanks = {"jinja_env_kwargs": {"trim_blocks": True, "lstrip_blocks": True}}
    items = [
        operation("files.template", {**arguments, **blanks}),
        operation("files.template", {**arguments, "dest": str(home / "wide")}),
    ]
    files = {"files/loop.j2": hashlib.sha256(text).hexdigest()}
    one = action("master", "m::c", *items, attributes={}, files=files)
    result = lab.apply(stage(1, one), modules={"test/mod": module})
    assert result.exit_code == 0, result.events
    assert (home / "tight").read_text() == "n1\nn2\n"
    assert (home / "wide").read_text() == "\n  \nn1\n  \n\n  \nn2\n  \n\n"


def test_folders_have_on_the_node_the_modes_that_they_have_in_the_module(lab: Lab, module: Path) -> None:
    home = lab.add_node("master").home
    (module / "tree").chmod(0o755)
    (module / "tree/deep").chmod(0o751)
    (module / "tree/deep/b.txt").chmod(0o604)
    result = applied(lab, module, operation("files.sync", {"src": "tree", "dest": str(home / "tree")}))
    assert result.exit_code == 0, result.events
    modes = {name: (home / name).stat().st_mode & 0o777 for name in ("tree", "tree/deep", "tree/deep/b.txt")}
    assert modes == {"tree": 0o755, "tree/deep": 0o751, "tree/deep/b.txt": 0o604}
    again = applied(lab, module, operation("files.sync", {"src": "tree", "dest": str(home / "tree")}))
    assert [e["changed"] for e in again.of("operation.finished")] == [False]
    assert result.folder.stat().st_mode & 0o077 == 0


def test_a_file_alone_has_the_mode_that_is_said_or_keeps_the_one_it_has(lab: Lab, module: Path) -> None:
    home = lab.add_node("master").home
    (module / "files/run.sh").chmod(0o755)
    puts = [
        operation("files.put", {"src": "files/run.sh", "dest": str(home / "plain")}),
        operation("files.put", {"src": "files/run.sh", "dest": str(home / "kept"), "mode": True}),
        operation("files.put", {"src": "files/run.sh", "dest": str(home / "said"), "mode": "750"}),
        add("files/run.sh", home / "added"),
    ]
    assert applied(lab, module, *puts).exit_code == 0
    modes = {name: (home / name).stat().st_mode & 0o777 for name in ("plain", "kept", "said", "added")}
    assert modes == {"plain": 0o644, "kept": 0o755, "said": 0o750, "added": 0o644}
    (home / "plain").chmod(0o600)
    (home / "kept").chmod(0o600)
    again = applied(lab, module, *puts)
    assert [e["changed"] for e in again.of("operation.finished")] == [False, True, False, False]
    assert ((home / "plain").stat().st_mode & 0o777, (home / "kept").stat().st_mode & 0o777) == (0o600, 0o755)


def test_a_template_ends_its_lines_as_unix_does_and_any_other_file_stays_as_it_is(lab: Lab, module: Path) -> None:
    home = lab.add_node("master").home
    content = b"port={{ port }}\r\nend\r\n"
    (module / "files/crlf").write_bytes(content)
    items = [
        operation("files.template", {"src": "files/crlf", "dest": str(home / "rendered")}),
        add("files/crlf", home / "added", template=True),
        operation("files.put", {"src": "files/crlf", "dest": str(home / "put")}),
    ]
    files = {"files/crlf": hashlib.sha256(content).hexdigest()}
    one = action("master", "m::c", *items, attributes={"port": 8786}, files=files)
    assert lab.apply(stage(1, one), modules={"test/mod": module}).exit_code == 0
    assert (home / "rendered").read_bytes() == b"port=8786\nend\n"
    assert (home / "added").read_bytes() == b"port=8786\nend\n"
    assert (home / "put").read_bytes() == content


def test_a_command_of_140_kilobytes_does_not_stand_in_front_of_why_it_failed(lab: Lab) -> None:
    lab.add_node("master")
    result = lab.apply(stage(1, action("master", "m::c", run(f": {'x' * 140_000}; echo the reason; exit 3"))))
    message = result.step("1.1")["error"]["message"]
    assert message.endswith("exited with code 3: the reason")
    assert len(message) < 400
    task = fold(read_log(result.folder / "events.jsonl").events)
    assert len(render_snapshot(task)) < 10_000
    assert len("".join(stream(read_log(result.folder / "events.jsonl").events))) < 10_000
