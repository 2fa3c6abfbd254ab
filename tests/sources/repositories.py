"""Helpers: git repositories made for a test, and a workspace that installs modules from them."""

from __future__ import annotations

import io
import os
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from dtk.__main__ import run
from dtk.state.pinned import Pin, load_pins
from dtk.state.workspace import Workspace

WHO = {f"GIT_{role}_{what}": "test@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


@dataclass(frozen=True)
class Repo:
    """A working copy in which a test commits."""

    folder: Path

    def git(self, *words: str) -> str:
        environment = {**os.environ, **WHO, "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(
            ["git", "-c", "init.defaultBranch=main", "-c", "protocol.file.allow=always", *words],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def module(
        self, name: str, path: str = "", version: str = "1.0.0", needs: dict[str, str] | None = None, body: str = ""
    ) -> None:
        """Write a module's document; ``body`` is YAML below ``components:``."""
        text = f"dsl_version: 1.0.0\nmodule: {name}\nversion: {version}\n"
        if needs:
            text += "dependencies:\n" + "".join(f"  {other}: '{limit}'\n" for other, limit in needs.items())
        file = self.folder / path / "dtk.module.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + (f"components:\n{body}" if body else ""))

    def commit(self, message: str = "a change", tag: str = "") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        if tag:
            self.git("tag", "--force", tag)
        return self.git("rev-parse", "HEAD")


@dataclass(frozen=True)
class Place:
    """A workspace with its command line."""

    workspace: Workspace

    def run(self, *words: str, code: int = 0, **environment: str) -> str:
        """Run a command; return its output, with ``--json`` only its standard output."""
        output, notes = io.StringIO(), io.StringIO()
        errors = notes if "--json" in words else output
        given = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", **environment}
        with mock.patch.dict(os.environ, given), redirect_stdout(output), redirect_stderr(errors):
            ended = run(["--workspace", str(self.workspace.root), *words])
        assert ended == code, f"{words}: {ended}\n{output.getvalue()}{notes.getvalue()}"
        return output.getvalue()

    def pins(self) -> dict[str, Pin]:
        return load_pins(self.workspace.lock_file)
