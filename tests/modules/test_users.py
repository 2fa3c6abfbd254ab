"""Tests for dtk/users: its script, with accounts, homes and rules that exist below a temporary directory only."""

from __future__ import annotations

import json
import os
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "modules" / "dtk" / "users" / "files" / "users.py"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOlNZ3HV7UjEewMyC6fAexO4alWYPPhjLscM3d43h9La"


class Machine:
    """A machine whose commands are played here; the script's own work on files and JSON is real."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.homes = folder / "home"
        self.homes.mkdir()
        self.uids: dict[str, int] = {}
        self.owners: dict[Path, tuple[int, int]] = {}
        self.log: list[str] = []
        spec = spec_from_file_location("users", SCRIPT)
        assert spec
        assert spec.loader
        # Typed as what it is to mypy: a script that no package holds.
        self.script: Any = module_from_spec(spec)
        spec.loader.exec_module(self.script)
        for name in ("DESIRED", "MADE", "SUDOERS", "NEW_SUDOERS", "UIDS"):
            monkeypatch.setattr(self.script, name, folder / name, raising=False)
        monkeypatch.setattr(self.script, "HOMES", self.homes, raising=False)
        monkeypatch.setattr(self.script, "run", self._run)
        monkeypatch.setattr(self.script, "become", lambda _account: None)
        monkeypatch.setattr(
            self.script, "pwd", SimpleNamespace(getpwnam=self._named, getpwuid=self._numbered, getpwall=self._all)
        )
        monkeypatch.setattr(self.script.os, "chown", self._chown)
        monkeypatch.setattr(self.script, "owner", lambda path: self.owners.get(path, (0, 0))[0], raising=False)
        self._without_pkill(folder, monkeypatch)

    @staticmethod
    def _without_pkill(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        programs = folder / "programs"
        programs.mkdir()
        (programs / "pkill").write_text("#!/bin/sh\n")
        (programs / "pkill").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")

    def _named(self, name: str) -> SimpleNamespace:
        uid = self.uids[name]
        return SimpleNamespace(pw_name=name, pw_uid=uid, pw_gid=uid, pw_dir=str(self.homes / name))

    def _numbered(self, uid: int) -> SimpleNamespace:
        return next((self._named(name) for name in self.uids if self.uids[name] == uid), None) or self._nobody(uid)

    @staticmethod
    def _nobody(uid: int) -> SimpleNamespace:
        raise KeyError(uid)

    def _all(self) -> list[SimpleNamespace]:
        return [self._named(name) for name in self.uids]

    def _chown(self, path: Path, uid: int, gid: int, **_: object) -> None:
        self.owners[Path(path)] = (uid, gid)
        self.log.append(f"chown {Path(path).name} {uid}:{gid}")

    def _run(self, *words: str, stdin: str = "") -> str:
        self.log.append(" ".join(words))
        if words[0] == "useradd":
            # As useradd does: the number after the highest one in use.
            uid = int(words[words.index("--uid") + 1]) if "--uid" in words else max([999, *self.uids.values()]) + 1
            assert uid not in self.uids.values()
            self.uids[words[-1]] = uid
            home = self.homes / words[-1]
            if not home.exists():
                home.mkdir()
                self.owners[home] = (uid, uid)
        if words[0] == "userdel":
            del self.uids[words[-1]]
        return ""

    def __call__(self, verb: str, login: str = "admin", **people: dict[str, Any]) -> None:
        if verb != "remove":
            self.script.DESIRED.write_text(json.dumps(people))
        self.script.main(verb, login)

    @property
    def made(self) -> list[str]:
        return list(json.loads(self.script.MADE.read_text()))

    @property
    def rules(self) -> list[str]:
        return list(self.script.SUDOERS.read_text().splitlines()[1:])


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(tmp_path, monkeypatch)


def test_the_login_keeps_an_account_and_rules_that_apply_once_created(users: Machine) -> None:
    users("apply", ada={"keys": [KEY], "sudo": True}, bob={"sudo": True})
    users("check", login="ada", bob={"sudo": True})
    users("apply", login="ada")
    assert set(users.uids) == {"ada"}
    assert users.made == []
    assert users.rules == ["ada ALL=(ALL:ALL) NOPASSWD: ALL"]
    users("check", login="ada")


def test_remove_keeps_the_login(users: Machine) -> None:
    users("apply", ada={"keys": [KEY], "sudo": True}, bob={"sudo": True})
    users("remove", login="ada")
    assert set(users.uids) == {"ada"}
    assert users.rules == ["ada ALL=(ALL:ALL) NOPASSWD: ALL"]


def test_remove_leaves_no_rules_without_people(users: Machine) -> None:
    users("apply", ada={"keys": [KEY], "sudo": True})
    users("remove")
    assert users.uids == {}
    assert not users.script.SUDOERS.exists()


def test_nobody_inherits_what_a_removed_person_had(users: Machine) -> None:
    users("apply", ada={}, bob={})
    removed = users.uids["bob"]
    users("apply", ada={})
    assert users.owners[users.homes / "bob"] == (0, 0)
    assert (users.homes / "bob").stat().st_mode & 0o777 == 0o700
    users("apply", ada={}, eve={})
    assert users.uids["eve"] > removed


def test_a_person_who_returns_has_the_same_files(users: Machine) -> None:
    users("apply", ada={}, bob={})
    had = users.uids["bob"]
    users("apply", eve={})
    users("apply", eve={}, bob={})
    assert users.uids["bob"] == had
    assert users.owners[users.homes / "bob"] == (had, had)


def test_a_user_id_that_was_taken_before_it_was_noted_stays_taken(users: Machine) -> None:
    users("apply", ada={})
    had = users.uids["ada"]
    # As an earlier version of the script left it.
    users.script.UIDS.unlink(missing_ok=True)
    users("apply", eve={})
    assert users.uids["eve"] > had


def test_a_pipe_in_place_of_keys_is_replaced(users: Machine) -> None:
    users("apply", ada={"keys": [KEY]})
    keys = users.homes / "ada" / ".ssh" / "authorized_keys"
    keys.unlink()
    os.mkfifo(keys)
    with pytest.raises(SystemExit, match="ada has other keys"):
        users("check", ada={"keys": [KEY]})
    users("apply", ada={"keys": [KEY]})
    assert keys.read_text() == f"{KEY}\n"
    users("check", ada={"keys": [KEY]})


def test_keys_in_the_second_file_are_removed(users: Machine) -> None:
    users("apply", ada={"keys": []})
    second = users.homes / "ada" / ".ssh" / "authorized_keys2"
    second.parent.mkdir(exist_ok=True)
    second.write_text(f"{KEY}\n")
    with pytest.raises(SystemExit, match="ada has other keys"):
        users("check", ada={"keys": []})
    users("apply", ada={"keys": []})
    assert not second.exists()


def test_a_home_that_cannot_be_written_delays_nobody_else(users: Machine) -> None:
    users("apply", ada={"keys": [KEY], "sudo": True}, bob={"keys": [KEY]}, eve={"keys": [KEY], "sudo": True})
    (users.homes / "ada").rename(users.homes / "elsewhere")
    with pytest.raises(SystemExit, match="the keys of ada: "):
        users("apply", ada={"keys": []}, bob={"keys": []})
    assert "eve" not in users.uids
    assert users.rules == []
    assert (users.homes / "bob" / ".ssh" / "authorized_keys").read_text() == ""


def test_a_script_that_waits_for_ever_is_ended(users: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    users("apply", ada={"keys": [KEY]})
    monkeypatch.setattr(users.script, "HOME_SECONDS", 0.2)
    with pytest.raises(users.script.HomeError, match="no end"):
        users.script.in_home("ada", "sleep 50 & sleep 50")
