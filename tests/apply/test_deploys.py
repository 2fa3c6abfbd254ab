"""Tests of module deploys on a node, conditions evaluated on the node, and canaries."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.apply.lab import Lab, Result, action, run, stage

DEPLOY = """
from pathlib import Path

from pyinfra.api import deploy
from pyinfra.operations import files, server


@deploy("Settings")
def settings(folder, lines, node, **_):
    files.directory(path=folder)
    files.put(src=str(Path(__file__).parent / "base.conf"), dest=f"{folder}/base.conf")
    for number, line in enumerate(lines):
        files.line(path=f"{folder}/base.conf", line=f"{number}={line} on {node['name']}")


@deploy("Broken")
def broken(folder):
    if folder:
        raise RuntimeError("no such thing")


@deploy("Failing")
def failing(folder):
    server.shell(commands=["echo too bad; exit 7"])
"""
FILES = {"deploys/web.py": DEPLOY.encode(), "deploys/base.conf": b"base=1\n"}


@pytest.fixture
def module(lab: Lab) -> Path:
    folder = lab.workspace.root / "modules/test/mod"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def applied(lab: Lab, module: Path, function: str, **attributes: Any) -> Result:
    item = {"kind": "deploy", "name": f"deploys/web.py:{function}", "parameters": sorted(attributes)}
    files = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
    one = action("master", "m::c", item, files=files, attributes=attributes)
    return lab.apply(stage(1, one), modules={"test/mod": module})


def test_a_deploy_gets_attributes_and_its_files_and_changes_nothing_the_second_time(lab: Lab, module: Path) -> None:
    home = lab.add_node("master").home
    first = applied(lab, module, "settings", folder=str(home / "conf"), lines=["a", "b"])
    assert (home / "conf/base.conf").read_text() == "base=1\n0=a on master\n1=b on master\n"
    assert first.step("1.1")["changed"]
    (home / "conf/base.conf").write_text("base=1\n")
    second = applied(lab, module, "settings", folder=str(home / "conf"), lines=[])
    assert not second.step("1.1")["changed"]


def test_what_a_deploy_raises_is_told_with_its_name(lab: Lab, module: Path) -> None:
    lab.add_node("master")
    message = applied(lab, module, "broken", folder="x").step("1.1")["error"]["message"]
    assert "m::c.create: deploys/web.py:broken: RuntimeError: no such thing" in message


def test_a_command_that_fails_in_a_deploy_is_told_as_any_other(lab: Lab, module: Path) -> None:
    lab.add_node("master")
    error = applied(lab, module, "failing", folder="x").step("1.1")["error"]
    assert error["exit_code"] == 7
    assert "too bad" in error["message"]


def test_an_item_whose_condition_is_false_is_skipped_on_the_node(lab: Lab) -> None:
    home = lab.add_node("master").home
    expected = {"when": [{"$template": "{{ kind == 'a' }}"}]}
    other = {"when": [{"$template": "{{ kind == 'b' }}"}]}
    unwanted = run({"$template": "touch {{ not_there }}", "shell": True}, **other)
    result = lab.apply(
        stage(1, action("master", "m::c", run("touch a", **expected), unwanted, attributes={"kind": "a"}))
    )
    assert (home / "a").exists()
    assert [event.get("skipped", False) for event in result.of("operation.finished")] == [False, True]


def test_no_other_node_starts_when_the_canary_fails(lab: Lab, tmp_path: Path) -> None:
    for name in ("n:1", "n:2", "n:3"):
        lab.add_node(name)
    note = shlex.quote(str(tmp_path / "ran"))
    items = {"n:1": run(f"echo 1 >> {note}; exit 1"), "n:2": run(f"echo 2 >> {note}"), "n:3": run(f"echo 3 >> {note}")}
    result = lab.apply(stage(1, *(action(node, "m::c", item) for node, item in items.items()), canary=1))
    assert result.end["status"] == "failed"
    assert (tmp_path / "ran").read_text() == "1\n"


def test_the_others_follow_a_canary_that_succeeds(lab: Lab, tmp_path: Path) -> None:
    for name in ("n:1", "n:2", "n:3"):
        lab.add_node(name)
    note = shlex.quote(str(tmp_path / "ran"))
    actions = [action(f"n:{i}", "m::c", run(f"sleep 0.{3 if i == 1 else 0}; echo {i} >> {note}")) for i in (1, 2, 3)]
    assert lab.apply(stage(1, *actions, canary=1)).end["status"] == "succeeded"
    ran = (tmp_path / "ran").read_text().split()
    assert (ran[0], sorted(ran)) == ("1", ["1", "2", "3"])
