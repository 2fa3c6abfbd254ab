"""The Dockerfile: built, and run as CI runs the image."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import eventually
from tests.testbed.builder import builder

ROOT = Path(__file__).resolve().parents[2]
NAP = "8634"


@dataclass(frozen=True)
class Image:
    """An image's files, and how to run them."""

    root: Path
    config: dict[str, Any]

    def command(self, *words: str) -> list[str]:
        """Return the command that starts a container of it: its user, with its entry point as PID 1."""
        assert self.root != Path("/")
        inside = [*self.config["Entrypoint"], *(words or self.config["Cmd"])]
        script = 'mount -t proc proc "$1/proc" && root=$1 user=$2 folder=$3 && shift 3 && exec chroot '
        script += '--userspec="$user" "$root" sh -c \'cd "$0" && exec "$@"\' "$folder" "$@"'
        user = f"{self.config['User']}:{self.config['User']}"
        own = [str(self.root), user, self.config["WorkingDir"]]
        return ["unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-ec", script, "sh", *own, *inside]

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": "/home/dtk", **dict(one.split("=", 1) for one in self.config["Env"])}

    def run(self, *words: str) -> str:
        done = subprocess.run(self.command(*words), env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    with builder() as build:
        name = build.build(ROOT)
        config = json.loads(build("inspect", "--type", "image", name))["OCIv1"]["config"]
        with build.mounted(name) as root:
            yield Image(root, config)


def test_the_image_runs_dtk_as_a_user_of_its_own_with_git_and_ssh(image: Image) -> None:
    assert "Usage: dtk" in image.run()
    assert image.run("dtk", "version").startswith("dtk ")
    assert image.run("id", "-u") == "1000\n"
    assert image.run("which", "git", "jq", "ssh") == "/usr/bin/git\n/usr/bin/jq\n/usr/bin/ssh\n"


def test_a_workspace_of_another_user_is_read_and_a_new_one_is_made(image: Image) -> None:
    image.run("dtk", "init")
    assert image.run("dtk", "validate", "--strict")
    clone = image.root / "workspace/clone"
    subprocess.run(["git", "init", "-q", str(clone)], check=True)
    assert (clone / ".git").stat().st_uid == os.getuid() != 1000
    image.run("git", "-C", "/workspace/clone", "status", "--short")


def test_a_signal_to_the_container_s_first_process_reaches_the_command(image: Image) -> None:
    process = subprocess.Popen(image.command("sleep", NAP), env=image.environment)
    first: list[int] = []

    def started() -> bool:
        found = subprocess.run(
            ["pgrep", "--full", f"^tini -- sleep {NAP}$"], capture_output=True, text=True, check=False
        )
        first[:] = map(int, found.stdout.split())
        return len(first) == 1 and bool(
            subprocess.run(["pgrep", "-P", str(first[0])], capture_output=True, check=False).stdout
        )

    eventually(started, "the container runs")
    os.kill(first[0], signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
