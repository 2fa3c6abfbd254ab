"""Tests for dtk/backup: its scripts and templates, with a store and clients below a temporary directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from ruamel.yaml import YAML

MODULE = Path(__file__).resolve().parents[2] / "modules" / "dtk" / "backup"
FILES = MODULE / "files"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOlNZ3HV7UjEewMyC6fAexO4alWYPPhjLscM3d43h9La"
FREE_LOGIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBg7vqlkZMnhxlYlbD1ItmhxF9TMFEMFx0x1Vgk9MSp5"


def admitted(*clients: str) -> list[str]:
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True).from_string(
        (FILES / "authorized_keys").read_text()
    )
    return [line for line in template.render(clients=clients).splitlines() if line]


def test_a_client_gets_one_line_that_admits_to_the_script_only() -> None:
    lines = admitted(f"machines:1 7 {KEY}", f"machines:2 7 {KEY}\n{FREE_LOGIN}")
    assert lines == [
        f'restrict,command="/usr/local/lib/dtk/backup-store.sh machines:{node} 7" {KEY}' for node in (1, 2)
    ]


def test_only_the_key_in_the_first_line_of_a_client_is_read(tmp_path: Path) -> None:
    component = YAML(typ="safe").load(MODULE / "dtk.module.yaml")["components"]["key"]
    command = component["actions"]["create"]["outputs"]["public_key"]["command"]
    command = command.replace("sudo ", "").replace("/var/lib/dtk-backup-client", str(tmp_path))
    for text, read in (
        (f"{KEY} dtk-backup\n{FREE_LOGIN} x\n", f"{KEY}\n"),
        (f"{KEY}\n", f"{KEY}\n"),
        (f'command="sh" {KEY}\n', ""),
    ):
        (tmp_path / "key.pub").write_text(text)
        assert subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout == read
