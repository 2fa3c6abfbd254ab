"""Tests of the users that commands run as on a node, and of the programs that a node needs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from dtk.apply.nodes.facts import NEEDED, SCRIPT, check_programs, read_facts
from dtk.errors import DtkError
from tests.apply.lab import Lab, action, operation, run, stage

_WHO = 'test "$(id -un)" = nobody'
_AS_NOBODY = {"_sudo": True, "_sudo_user": "nobody"}


def test_a_login_that_is_root_needs_no_sudo(lab: Lab) -> None:
    server = lab.add_node("master", user="root")
    items = run("touch made"), operation("files.directory", {"path": "folder"})
    done = lab.apply(stage(1, action("master", "m::c", *items, defaults={"_sudo": True})))
    assert done.exit_code == 0, done.of("step.finished")
    assert (server.home / "made").exists()
    assert (server.home / "folder").is_dir()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user without sudo")
def test_a_login_that_is_root_becomes_another_user_without_sudo(lab: Lab) -> None:
    lab.add_node("master", user="root")
    done = lab.apply(
        stage(
            1,
            action(
                "master", "m::c", run('test "$(id -un)" = nobody'), defaults={"_sudo": True, "_sudo_user": "nobody"}
            ),
        )
    )
    assert done.exit_code == 0, done.of("operation.finished")


def test_what_a_node_lacks_is_listed_at_first_contact(tmp_path: Path) -> None:
    for tool in ("id", "uname", "tr", "sed"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    asked = subprocess.run(
        ["/bin/sh"], input=SCRIPT, env={"PATH": str(tmp_path)}, capture_output=True, check=True, timeout=60
    )
    with pytest.raises(DtkError) as caught:
        check_programs(asked.stdout.decode(), "master")
    lacking = [tool for tool in NEEDED if tool not in ("id", "uname", "tr", "sed")]
    assert caught.value.message == f"master lacks programs that dtk needs: {', '.join(lacking)}"
    assert "install" in caught.value.hint


def test_a_plain_machine_lacks_nothing() -> None:
    asked = subprocess.run(["/bin/sh"], input=SCRIPT, capture_output=True, check=True, timeout=60)
    check_programs(asked.stdout.decode(), "master")
    assert read_facts(asked.stdout.decode(), {})["home"] == os.environ["HOME"]
