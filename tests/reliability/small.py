"""The smallest service that does something: one local node, which records what runs there."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dtk.events.log_reader import read_log
from dtk.service.task_log import logged_tasks, read_task
from dtk.state.document import to_document
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from tests.support.command_line import Dtk

SERVICE = "small1"
MODULE = """
dsl_version: 1.0.0
module: acme/small
version: 1.0.0
components:
  mark:
    attributes:
      word: {type: string, default: made}
      said: {type: string, dynamic: true}
      wait: {type: string, default: 'true'}
    actions:
      create:
        commands: ['RUN sh -c {{ wait }}', 'RUN echo {{ word }} >> {{ node.home }}/made']
        outputs: {said: {command: 'cat {{ node.home }}/made | wc -l'}}
assemblies:
  one:
    nodes:
      master: {components: [small::mark]}
"""
APPLY = ("apply", SERVICE, "--yes")


@dataclass
class Small:
    """The service in its workspace, staged."""

    root: Path
    dtk: Dtk = field(init=False)
    workspace: Workspace = field(init=False)

    def __post_init__(self) -> None:
        self.root.mkdir(parents=True, exist_ok=True)
        self.dtk, self.workspace = Dtk(self.root), Workspace(self.root)
        self.dtk.run("init")
        module = self.root / "modules/acme/small"
        module.mkdir(parents=True)
        (module / "dtk.module.yaml").write_text(MODULE)
        self.dtk.run("stage", "acme:small/one", SERVICE)

    def shell(self, script: str, *words: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run ``dtk`` with arguments through a shell script that calls it as ``"$@"``; check its exit code.

        Args:
            script: the shell script.
            words: the arguments of ``dtk``.
            code: the expected exit code; None allows any.
        """
        done = subprocess.run(
            ["/bin/sh", "-c", script, "sh", sys.executable, "-m", "dtk", *words],
            cwd=self.root,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=300,
        )
        said = f"{script} dtk {' '.join(words)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert code is None or done.returncode == code, said
        self.check_words(done)
        return done

    def check_words(self, done: subprocess.CompletedProcess[str]) -> None:
        """Fail on output that only a bug in dtk causes."""
        said = f"{done.stdout}\n{done.stderr}"
        for worker_log in self.root.glob(".dtk/services/*/tasks/*/worker.log"):
            said += worker_log.read_text()
        assert "Traceback" not in said, said
        assert "a bug in dtk" not in said, said

    def check_records(self) -> None:
        """Check that the state and every log can be read."""
        load_state(self.workspace.state_file(SERVICE))
        for number in logged_tasks(self.workspace, SERVICE):
            notes = read_log(self.workspace.event_log(SERVICE, number)).notes
            assert [note for note in notes if "torn" not in note] == []

    def follow_advice(self, before: int = 0) -> None:
        """Do what the last task's end advises; apply if no task started since task ``before``."""
        number = max(logged_tasks(self.workspace, SERVICE), default=0)
        task = read_task(self.workspace, SERVICE, number) if number > before else None
        if task is None:
            self.dtk.run(*APPLY)
        elif task.status != "succeeded":
            words = shlex.split(task.next_command)[1:]
            self.dtk.run(*words, *(["--yes"] if words[0] == "apply" else []))

    def state(self) -> Any:
        """Return the part of the state that is the same in two undisturbed lives."""
        found = load_state(self.workspace.state_file(SERVICE))
        document: Any = to_document(found) if found else {}
        applied = {
            node: {name: one["attributes"] for name, one in components.items()}
            for node, components in document.get("applied", {}).items()
        }
        nodes = {name: node["status"] for name, node in document.get("nodes", {}).items()}
        return nodes, applied, document.get("unfinished"), document.get("in_doubt")

    def last(self) -> dict[str, Any]:
        """Return the document of ``task-status --json``."""
        found: dict[str, Any] = json.loads(self.dtk.run("task-status", SERVICE, "--json", code=None).stdout)
        return found

    def remove(self) -> None:
        """Destroy what is left of the service."""
        if self.workspace.service_file(SERVICE).exists():
            self.dtk.run("delete-and-destroy", SERVICE, "--yes", "--force", "--lock-wait", "60s", code=None)
