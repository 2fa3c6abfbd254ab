"""Secrets and keys of a service shared between clones: what the store holds, and what each clone knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dtk.state.secret_digests import is_other_value, secret_digest
from tests.support.command_line import Dtk
from tests.support.shared_clones import Team, found_team

MODULE = """
dsl_version: 1.0.0
module: acme/ring
version: 0.1.0
components:
  client:
    attributes:
      token: {secret: true, required: true}
    actions:
      create: {operations: [{files.template: {src: files/token, dest: token, mode: '600'}}]}
assemblies:
  one:
    nodes:
      nodes:
        attributes: {type: group, cardinality: 1}
        components: [ring::client]
"""
VALUE = "squeamish-ossifrage"


@pytest.fixture
def team(tmp_path: Path) -> Iterator[Team]:
    team = found_team(tmp_path, MODULE.lstrip())
    files = team.origin / "modules/acme/ring/files"
    files.mkdir()
    (files / "token").write_text("{{ token }}\n")
    Dtk(team.origin).run("stage", "acme:ring/one", "app1", "--set", "nodes/ring::client/token=env:TOKEN")
    yield team
    team.clone("closer").run("delete-and-destroy", "app1", "--yes", "--force", "--lock-wait", "60s")


def test_a_secret_that_each_clone_has_applied_is_no_change_for_any_of_them(team: Team) -> None:
    one, two = team.clone("one"), team.clone("two")
    one.run("apply", "app1", "--yes", TOKEN=VALUE)
    for clone in (one, two):
        clone.run("set-attribute", "app1", "nodes/cardinality", "2")
    two.run("apply", "app1", "--yes", TOKEN=VALUE)
    for clone in (one, two):
        assert "Nothing to do" in clone.run("plan", "app1", TOKEN=VALUE).stdout
    assert "env:TOKEN has a new value" in two.run("plan", "app1", TOKEN="another").stdout
    # The store holds no secret value. Private keys are outside the prefix that readers of state and logs may access.
    objects = {path.relative_to(team.store).as_posix(): path for path in team.store.rglob("*") if path.is_file()}
    assert not [key for key, path in objects.items() if VALUE in path.read_text(errors="replace")]
    private = [key for key, path in objects.items() if "PRIVATE KEY" in path.read_text(errors="replace")]
    assert private == ["access/app1/id_ed25519"]
    keys = {(clone.root / ".dtk/services/app1/secrets.key").read_bytes() for clone in (one, two)}
    assert not [key for key, path in objects.items() if any(one in path.read_bytes() for one in keys)]


def test_digests_by_keys_of_two_machines_are_not_compared() -> None:
    here, there = (secret_digest(key * 32, "env:A", VALUE) for key in (b"a", b"b"))
    other = secret_digest(b"a" * 32, "env:A", "another")
    assert is_other_value(here, other)
    assert not is_other_value(here, here)
    assert not is_other_value(there, here)
    # Digests in the old form, which did not name their key.
    assert not is_other_value(here.rpartition(":")[2], here)
    assert is_other_value(here.rpartition(":")[2], other)
