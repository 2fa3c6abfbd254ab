"""Counts of what a task costs on a host: logins, and commands that are sent to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from tests.apply.server import SshServer
from tests.support.command_line import Dtk

MODULE = """\
dsl_version: 1.0.0
module: acme/files
version: 1.0.0
components:
  files:
    actions:
      create:
        operations:
          - files.directory: {path: "{{ node.home }}/folder"}
          - files.put: {src: files/text, dest: "{{ node.home }}/folder/text"}
          - files.line: {path: "{{ node.home }}/folder/lines", line: last}
          - server.shell: {commands: ["cat $HOME/folder/text $HOME/folder/lines"]}
assemblies:
  one:
    nodes:
      n: {components: [files]}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshServer]:
    key = asyncssh.generate_private_key("ssh-ed25519")
    key.write_private_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o600)
    started = SshServer(tmp_path / "machine", key).start()
    yield started
    started.stop()


@pytest.fixture
def dtk(tmp_path: Path, server: SshServer) -> Dtk:
    root = tmp_path / "workspace"
    root.mkdir()
    dtk = Dtk(root)
    dtk.run("init")
    folder = root / "modules/acme/files"
    (folder / "files").mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE)
    (folder / "files/text").write_text("first\n")
    hosts = {"h": {"address": server.host, "port": server.port}}
    rack = {"type": "hosts", "user": "tester", "key": str(tmp_path / "key"), "hosts": hosts}
    (root / "dtk.yaml").write_text(
        json.dumps({"format_version": 1, "default_target": "rack", "targets": {"rack": rack}})
    )
    dtk.run("stage", "acme:files/one", "f1")
    return dtk


def test_a_first_task_logs_in_once_and_sends_few_commands(dtk: Dtk, server: SshServer) -> None:
    shown = dtk.run("apply", "f1", "--yes").stdout
    assert "Status: OK" in shown
    assert (server.home / "folder/lines").read_text() == "last\n"
    assert server.logins == 1
    # Who owns it; its mark, first boot and facts; all queries; and each operation with the queries of the next one.
    assert server.channels == 3 + 4


def test_a_later_task_sends_its_queries_and_what_changes_something(dtk: Dtk, server: SshServer) -> None:
    dtk.run("apply", "f1", "--yes")
    before = server.logins, server.channels
    dtk.run("converge", "f1", "--yes")
    assert (server.logins - before[0], server.channels - before[1]) == (1, 2)
    (server.home / "folder/text").write_text("other\n")
    dtk.run("converge", "f1", "--yes")
    assert (server.home / "folder/text").read_text() == "first\n"
    # All queries; the file, with those of the next operation; and the command.
    assert (server.logins - before[0], server.channels - before[1]) == (2, 2 + 3)


def test_a_command_that_runs_a_task_loads_nothing_that_only_its_worker_needs(dtk: Dtk) -> None:
    for verb in ("apply", "converge"):
        # The worker's own standard error is its log.
        loaded = {line.rpartition("|")[2].strip() for line in imports_of(dtk, verb)}
        assert "dtk.service.unknown_machines" in loaded
        assert loaded & {"paramiko", "gevent", "pyinfra", "asyncio", "boto3", "pydantic", "rich"} == set()


def imports_of(dtk: Dtk, verb: str) -> list[str]:
    """Run a command that prints, for each module that it loads, how long that took; return these lines."""
    return dtk.run(verb, "f1", "--yes", PYTHONPROFILEIMPORTTIME="1").stderr.splitlines()
