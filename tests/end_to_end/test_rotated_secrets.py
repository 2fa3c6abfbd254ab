"""A rotated secret is a change that the plan detects; the stored digest reveals nothing about the value."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.command_line import Dtk

MODULE = """
dsl_version: 1.0.0
module: acme/vault
version: 0.1.0
components:
  client:
    attributes:
      token: {secret: true, required: true}
    actions:
      create: {operations: [{files.template: {src: files/token, dest: token, mode: '600'}}]}
  other:
    actions: {create: {commands: [{RUN: touch other, unless: test -f other}]}}
assemblies:
  one: {nodes: {main: {components: [vault::client, vault::other]}}}
"""
ONE, TWO = "first-value-of-it", "second-value-of-it"


@pytest.fixture
def service(dtk: Dtk) -> str:
    folder = dtk.root / "modules/acme/vault"
    (folder / "files").mkdir(parents=True)
    (folder / "files/token").write_text("{{ token }}\n")
    (folder / "dtk.module.yaml").write_text(MODULE.lstrip())
    dtk.run("stage", "acme:vault/one", "vault1", "--set", "main/vault::client/token=env:VAULT_TOKEN")
    return "vault1"


def token(dtk: Dtk, service: str) -> str:
    (node,) = dtk.json("list-nodes", service)
    return (Path(node["attributes"]["home"]) / "token").read_text()


def test_a_rotated_secret_is_a_change_of_what_uses_it_alone(dtk: Dtk, service: str) -> None:
    dtk.run("apply", service, "--yes", VAULT_TOKEN=ONE)
    assert "Nothing to do" in dtk.run("plan", service, VAULT_TOKEN=ONE).stdout
    assert "Nothing to do" in dtk.run("plan", service).stdout, "what is not known here has not changed"
    planned = dtk.run("plan", service, "--detailed-exitcode", code=10, VAULT_TOKEN=TWO).stdout
    assert "main/vault::client/token (hidden) has changed: env:VAULT_TOKEN has a new value" in planned
    assert "main/vault::other" not in planned
    dtk.run("apply", service, "--yes", VAULT_TOKEN=TWO)
    assert token(dtk, service) == f"{TWO}\n"
    assert "Nothing to do" in dtk.run("plan", service, VAULT_TOKEN=TWO).stdout

    folder = dtk.root / ".dtk/services" / service
    key = folder / "secrets.key"
    assert key.stat().st_mode & 0o777 == 0o600
    written = "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file() and path != key)
    assert ONE not in written
    assert TWO not in written
    assert key.read_bytes().hex() not in written
    key.unlink()
    assert "Nothing to do" in dtk.run("plan", service, VAULT_TOKEN=ONE).stdout, "without the key nothing is said"
    state = json.loads((folder / "state.json").read_text())
    (digest,) = state["applied"]["main"]["vault::client"]["secrets"].values()
    assert re.fullmatch(r"[0-9a-f]{8}:[0-9a-f]{64}", digest), "whose key made it, and the digest"
