"""Tests for dtk/backup: its scripts and templates, with a store and clients below a temporary directory."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import pytest
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


class Node:
    """A client below a temporary directory; its "SSH" runs the store's script in another one."""

    def __init__(self, folder: Path) -> None:
        self.base, self.store, self.work = (folder / name for name in ("client", "store", "work"))
        for path in (self.base, self.store, self.work, folder / "programs"):
            path.mkdir()
        (self.work / "file").write_text("one\n")
        ssh = folder / "programs" / "ssh"
        ssh.write_text(
            '#!/bin/sh\nwhile [ "$1" != dtk-backup@store ]; do shift; done\nshift\n'
            f'SSH_ORIGINAL_COMMAND="$*" HOME={self.store} exec sh {FILES}/store.sh machines:1 2\n'
        )
        ssh.chmod(0o755)
        self.environment = {"PATH": f"{folder}/programs:/usr/bin:/bin", "TMPDIR": str(folder)}
        self.script = folder / "backup.sh"
        self.script.write_text((FILES / "backup.sh").read_text().replace("/var/lib/dtk-backup-client", str(self.base)))
        self.set_database("cat file")

    def set_database(self, command: str) -> None:
        """Set the command that dumps the one database, main."""
        (self.base / "settings.sh").write_text(
            f"store_host=store\nstore_port=22\npaths={self.work}\ndatabases=main\nrestore_databases=main\n"
            f"dump() {{ (cd {self.work} && {command}); }}\nload() {{ cat >{self.work}/loaded; }}\n"
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            ["sh", str(self.script), *words], stdout=pipe, stderr=pipe, text=True, env=self.environment
        )

    def run(self, *words: str) -> str:
        process = self.start(*words)
        shown, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return shown

    def ask(self, request: str, given: bytes = b"", keep: int = 2) -> subprocess.CompletedProcess[bytes]:
        """Ask the store as a client that is not this module's script."""
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(self.store), "SSH_ORIGINAL_COMMAND": request}
        words = ["sh", str(FILES / "store.sh"), "machines:1", str(keep)]
        return subprocess.run(words, input=given, capture_output=True, env=environment, check=False, timeout=60)

    @property
    def stored(self) -> list[str]:
        return sorted(path.name for path in (self.store / "machines:1").iterdir())


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_backups_at_once_wait_for_each_other(node: Node) -> None:
    node.set_database("echo begin >>../log && sleep 0.1 && echo row && echo end >>../log")
    started = [node.start(verb) for verb in ("backup", "smoke_test", "backup")]
    failed = [errors for one in started for errors in [one.communicate(timeout=60)[1]] if one.returncode != 0]
    assert failed == []
    assert (node.work.parent / "log").read_text().split() == ["begin", "end"] * 3


def test_an_archive_without_a_dump_is_no_backup(node: Node) -> None:
    # As another program would that clears the directory while tar reads it.
    tar = node.work.parent / "programs" / "tar"
    tar.write_text(f'#!/bin/sh\nrm -f {node.base}/databases/main\nexec /usr/bin/tar "$@"\n')
    tar.chmod(0o755)
    process = node.start("backup")
    assert "the dump of the database 'main' has disappeared" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


def test_what_a_command_leaves_running_does_not_keep_the_lock(node: Node) -> None:
    node.set_database("cat file; (sleep 50 >/dev/null 2>&1 & echo $! >../pid)")
    node.run("backup")
    running = (node.work.parent / "pid").read_text().strip()
    try:
        subprocess.run(["flock", "--nonblock", str(node.base / "lock"), "true"], check=True)
    finally:
        subprocess.run(["kill", running], check=True)


def kept(node: Node) -> list[str]:
    return [name.removesuffix(".tar.gz") for name in node.stored if name.endswith(".tar.gz")]


def test_an_archive_is_restored_by_its_name(node: Node) -> None:
    first, second = (node.run("backup").strip() for _ in range(2))
    assert node.run("list").split() == [first, second] == kept(node)
    node.run("restore", first, str(node.work.parent / "restored"))
    assert Path(f"{node.work.parent}/restored{node.work}/file").read_text() == "one\n"


def test_a_smoke_test_pushes_out_no_backup(node: Node) -> None:
    backups = [node.run("backup").strip() for _ in range(2)]
    for _ in range(2):
        assert "dumped main" in node.run("smoke_test")
    assert node.run("list").split() == backups
    assert len(node.stored) == 3


def test_only_parts_that_are_a_day_old_are_removed(node: Node) -> None:
    node.run("backup")
    old, new = (node.store / "machines:1" / f"{name}.part" for name in ("20200101T000000Z", "20200102T000000Z"))
    old.write_text("")
    new.write_text("")
    os.utime(old, (0, 0))
    node.run("backup")
    assert [name for name in node.stored if name.endswith(".part")] == [new.name]


def test_a_client_cannot_choose_a_name_or_replace_an_archive(node: Node) -> None:
    name = node.run("backup").strip()
    digest = hashlib.sha256(b"x").hexdigest()
    for chosen in (name, "99991231T000000Z"):
        node.ask(f"put {chosen}", b"x")
        assert node.ask(f"keep {chosen} {digest}").returncode != 0
    assert kept(node) == [name]


def test_nothing_is_stored_where_nothing_is_kept(node: Node) -> None:
    backup = node.run("backup").strip()
    name, digest = [*node.ask("put", b"x").stdout.decode().split(), "", ""][:2]
    assert node.ask(f"keep {name} {digest}", keep=0).returncode != 0
    assert kept(node) == [backup]
