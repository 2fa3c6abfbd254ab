"""A machine that exists but is unusable at first: once it is repaired, every way to continue works."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ssh.openssh import OpenSsh, make_key
from tests.support.command_line import Dtk

MODULE = """
dsl_version: 1.0.0
module: acme/one
version: 0.1.0
components:
  one:
    actions:
      create:
        commands: ['RUN echo {{ node.home }} > {{ node.home }}/home']
assemblies:
  one:
    nodes:
      main: {components: [one]}
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "key")


@pytest.fixture
def machine(tmp_path: Path, key: Path) -> Iterator[OpenSsh]:
    server = OpenSsh(tmp_path / "sshd", key.with_suffix(".pub").read_text())
    yield server
    server.stop()


@pytest.fixture
def on_host(dtk: Dtk, machine: OpenSsh, key: Path) -> Iterator[Dtk]:
    """Create a workspace with one service whose node is the machine."""
    folder = dtk.root / "modules/acme/one"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE.lstrip())
    write_target(dtk, machine, key)
    yield dtk
    # Destroy the service while the machine still answers.
    dtk.run("delete-and-destroy", "s1", "--yes", "--force", code=None)


def write_target(dtk: Dtk, machine: OpenSsh, key: Path, **more: Any) -> None:
    host = {"address": machine.host, "port": machine.port}
    rack = {"type": "hosts", "user": "tester", "key": str(key), "hosts": {"alpha": host}, "connect_timeout": 5, **more}
    (dtk.root / "dtk.yaml").write_text(
        json.dumps({"default_target": "rack", "format_version": 1, "targets": {"rack": rack}})
    )


def stranger(dtk: Dtk, machine: OpenSsh, key: Path, *, mended: bool) -> None:
    write_target(dtk, machine, key, user="tester" if mended else "stranger")


def no_shell(_dtk: Dtk, machine: OpenSsh, _key: Path, *, mended: bool) -> None:
    machine.set_shell("/bin/sh" if mended else "/bin/false")


@pytest.mark.parametrize(
    ("fault", "way"),
    [(stranger, ("apply", "--resume", "--yes")), (stranger, ("converge", "--yes")), (no_shell, ("apply", "--yes"))],
)
def test_a_machine_that_first_contact_failed_on_is_used_once_it_is_mended(
    on_host: Dtk, machine: OpenSsh, key: Path, fault: Any, way: tuple[str, ...]
) -> None:
    fault(on_host, machine, key, mended=False)
    on_host.run("deploy", "acme:one/one", "s1", code=1)
    assert "its creation did not finish" in on_host.run("plan", "s1").stdout
    assert "not running: main" in on_host.run("exec", "s1", "main/one.create", code=1).stderr
    fault(on_host, machine, key, mended=True)
    verb, *options = way
    on_host.run(verb, "s1", *options)
    assert (machine.home / "home").read_text() == f"{machine.home}\n"
    assert "Nothing to do" in on_host.run("plan", "s1").stdout
