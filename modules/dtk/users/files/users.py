#!/usr/bin/env python3
"""Makes a machine's accounts those of the people in users.json beside it, as root. Python's standard library only.

users.py apply LOGIN    create, change and remove accounts; LOGIN is the account that dtk uses, which stays as it is
users.py check LOGIN    exit code 1 if apply would change something
users.py show LOGIN     check, and list the people
users.py remove LOGIN   remove all accounts that apply created, except LOGIN

Only accounts in MADE, which apply created, are ever changed, and LOGIN never, even if apply created it. Home
directories are kept, and closed to everybody until their people return; nobody else gets their user ids.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

DESIRED = Path(__file__).with_name("users.json")
MADE = Path("/var/lib/dtk/users.json")
# The user id of everybody for whom an account was ever made: what is theirs must not become another's.
UIDS = Path("/var/lib/dtk/users.uids.json")
HOMES = Path("/home")
# The mode of a removed person's home, which then is root's.
CLOSED = 0o700
SUDOERS = Path("/etc/sudoers.d/dtk-users")
# sudo ignores files with a dot in their names.
NEW_SUDOERS = Path("/etc/sudoers.d/dtk-users.new")
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# What is not a file was put there to make writing fail or wait; authorized_keys2 is read by sshd as well.
WRITE_KEYS = """
umask 077
chmod u+rwx "$HOME" && cd "$HOME" || exit 1
[ -d .ssh ] || rm -f .ssh
mkdir -p .ssh && chmod u+rwx .ssh && cd .ssh || exit 1
[ -f authorized_keys ] || rm -rf authorized_keys
rm -rf authorized_keys.new authorized_keys2
cat >authorized_keys.new && mv -fT authorized_keys.new authorized_keys
"""
READ_KEYS = """
cd "$HOME" || exit 1
[ ! -d .ssh ] || { [ -r .ssh ] && [ -x .ssh ]; } || exit 1
for file in .ssh/authorized_keys .ssh/authorized_keys2; do
    [ ! -f "$file" ] || head -c 100000 "$file" || exit 1
done
"""
HOME_SECONDS = 10


class HomeError(Exception):
    """A person's home directory does not let the person's keys be read or written."""


class Person(NamedTuple):
    """One person: the lines of authorized_keys, and the commands to run as root (ALL for any)."""

    name: str
    keys: tuple[str, ...]
    commands: tuple[str, ...]


def run(*words: str, stdin: str = "") -> str:
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(words)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def in_home(name: str, script: str, stdin: str = "") -> str:
    """Run a script with a person's rights and home: a link there must not lead root elsewhere, nor a pipe stop root."""
    account = pwd.getpwnam(name)
    with subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": account.pw_dir},
        preexec_fn=lambda: become(account),  # noqa: PLW1509  # there is one thread
        start_new_session=True,
        text=True,
        errors="replace",
    ) as process:
        try:
            shown, errors = process.communicate(stdin, timeout=HOME_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise HomeError(f"the keys of {name}: no end after {HOME_SECONDS} seconds") from None
    if process.returncode != 0:
        raise HomeError(f"the keys of {name}: {errors.strip() or 'they cannot be read'}")
    return shown


def become(account: pwd.struct_passwd) -> None:
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def has_keys(one: Person) -> bool:
    try:
        return in_home(one.name, READ_KEYS) == lines_of(one.keys)
    except HomeError:
        return False


def write_keys(one: Person) -> str:
    """Write a person's keys; return why that failed, "" if it did not."""
    try:
        in_home(one.name, WRITE_KEYS, lines_of(one.keys))
    except HomeError as error:
        return str(error)
    return ""


def lines_of(keys: tuple[str, ...]) -> str:
    return "".join(f"{key}\n" for key in keys)


def exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def made() -> list[str]:
    return list(json.loads(MADE.read_text())) if MADE.exists() else []


def note_made(names: list[str]) -> None:
    write_json(MADE, sorted(names))


def uids() -> dict[str, int]:
    return dict(json.loads(UIDS.read_text())) if UIDS.exists() else {}


def note_uid(name: str, uid: int) -> None:
    if uids().get(name) != uid:
        write_json(UIDS, uids() | {name: uid})


def write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".new")
    written.write_text(json.dumps(content) + "\n")
    written.replace(path)


def desired(login: str) -> list[Person]:
    """Return the people of users.json; end with a message if something in it is not allowed."""
    document = json.loads(DESIRED.read_text())
    if not isinstance(document, dict):
        sys.exit("people: expected NAME: {keys: […], sudo: …}")
    return [person(name, described, login) for name, described in sorted(document.items())]


def person(name: str, described: object, login: str) -> Person:
    if not NAME.fullmatch(name):
        sys.exit(f"'{name}' is not a name of an account: expected small letters, digits, - and _")
    if name == login:
        sys.exit(f"'{name}' is the account that dtk uses, and stays as it is: remove it from the people")
    if exists(name) and name not in made():
        sys.exit(f"the account '{name}' exists, and was not created by dtk/users: choose another name")
    if not isinstance(described, dict) or set(described) - {"keys", "sudo"}:
        sys.exit(f"{name}: expected keys and sudo, found {described}")
    keys, sudo = described.get("keys", []), described.get("sudo", False)
    if not isinstance(keys, list) or not all(isinstance(key, str) and is_key(key) for key in keys):
        sys.exit(f"{name}: keys must be a list of public keys, each as in a file ~/.ssh/NAME.pub")
    commands = (["ALL"] if sudo else []) if isinstance(sudo, bool) else sudo
    if not isinstance(commands, list) or not all(isinstance(one, str) and is_command(one) for one in commands):
        sys.exit(f"{name}: sudo must be true, false, or a list of commands with absolute paths")
    return Person(name, tuple(keys), tuple(commands))


def is_key(key: str) -> bool:
    if "\n" in key or key.startswith("#"):
        return False
    shown = subprocess.run(["ssh-keygen", "-l", "-f", "-"], input=key, capture_output=True, text=True, check=False)
    return shown.returncode == 0


def is_command(command: str) -> bool:
    return command == "ALL" or (command.startswith("/") and command.isprintable())


def sudoers(people: list[Person], login: str) -> str:
    """Return the rules of people, and the login's own if it has any: dtk could not undo their loss."""
    before = SUDOERS.read_text() if SUDOERS.exists() else ""
    lines = ["# Written by dtk (dtk/users).", *(line for line in before.splitlines() if line.startswith(f"{login} "))]
    for one in people:
        if one.commands:
            commands = ", ".join(re.sub(r"([,:=\\])", r"\\\1", command) for command in one.commands)
            lines.append(f"{one.name} ALL=(ALL:ALL) NOPASSWD: {commands}")
    return "\n".join(lines) + "\n"


def write_sudoers(text: str, login: str) -> None:
    """Replace the rules, if sudo accepts them alone and together with all others, and the login keeps its rights."""
    before = SUDOERS.read_text() if SUDOERS.exists() else ""
    if text == before:
        return
    put_sudoers(NEW_SUDOERS, text)
    try:
        run("visudo", "-c", "-q", "-f", str(NEW_SUDOERS))
    except SystemExit:
        NEW_SUDOERS.unlink()
        raise
    NEW_SUDOERS.replace(SUDOERS)
    try:
        run("visudo", "-c", "-q")
        if login != "root":
            run("runuser", "-u", login, "--", "sudo", "-n", "true")
    except SystemExit:
        if before:
            put_sudoers(NEW_SUDOERS, before)
            NEW_SUDOERS.replace(SUDOERS)
        else:
            SUDOERS.unlink()
        raise


def put_sudoers(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440), "w") as file:
        file.write(text)
    path.chmod(0o440)


def make(name: str) -> None:
    # Noted before: after an interruption in between, the account is known as this module's own.
    note_made([*set(made()) | {name}])
    if not exists(name):
        uid = uid_for(name)
        note_uid(name, uid)
        words = ["--create-home", "--home-dir", str(HOMES / name), "--shell", "/bin/bash", "--password", "*"]
        run("useradd", *words, "--uid", str(uid), name)
    account = pwd.getpwnam(name)
    note_uid(name, account.pw_uid)
    home = own_home(name)
    if home and owner(home) == 0 and home.stat().st_mode & 0o777 == CLOSED:
        os.chown(home, account.pw_uid, account.pw_gid, follow_symlinks=False)


def uid_for(name: str) -> int:
    """Return the user id that a person has had, or one above all that anybody has had or has."""
    known = uids()
    if name in known:
        return known[name]
    home = own_home(name)
    if home and is_free(owner(home)) and owner(home) not in known.values():
        return owner(home)
    had = [owner(one) for one in HOMES.iterdir()] if HOMES.is_dir() else []
    have = [one.pw_uid for one in pwd.getpwall()]
    # Above 60000 are those of no people, such as nobody's.
    return max([999, *known.values(), *(uid for uid in (*had, *have) if uid < 60000)]) + 1


def own_home(name: str) -> Path | None:
    home = HOMES / name
    return home if home.is_dir() and not home.is_symlink() else None


def owner(path: Path) -> int:
    return path.lstat().st_uid


def is_free(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return uid >= 1000
    return False


def forget(name: str) -> None:
    """Remove an account at once, with everything that its owner runs."""
    if exists(name):
        run("usermod", "--lock", "--expiredate", "1", name)
        uid = pwd.getpwnam(name).pw_uid
        note_uid(name, uid)
        # A service manager of the user may start processes again until it has ended itself.
        subprocess.run(["pkill", "-KILL", "-U", str(uid)], check=False)
        run("userdel", "--force", name)
    if home := own_home(name):
        os.chown(home, 0, 0, follow_symlinks=False)
        home.chmod(CLOSED)
    note_made([one for one in made() if one != name])


def release(login: str) -> None:
    """Leave the account that dtk uses to itself, if this module created it."""
    if login in made():
        note_made([one for one in made() if one != login])


def differences(people: list[Person], login: str) -> list[str]:
    """Return what apply would change, for people."""
    found = [f"{name} is to be removed" for name in made() if name not in {login, *(one.name for one in people)}]
    for one in people:
        if not exists(one.name):
            found.append(f"{one.name} has no account")
        elif not has_keys(one):
            found.append(f"{one.name} has other keys")
    if (SUDOERS.read_text() if SUDOERS.exists() else "") != sudoers(people, login):
        found.append(f"{SUDOERS} has other rules")
    return found


def apply(people: list[Person], login: str) -> None:
    """Take rights away before all else: what a person did to a home directory must not delay that."""
    release(login)
    for name in made():
        if name not in {one.name for one in people}:
            forget(name)
    write_sudoers(sudoers(people, login), login)
    for one in people:
        make(one.name)
    failures = [write_keys(one) for one in people if not has_keys(one)]
    if any(failures):
        sys.exit("\n".join(failure for failure in failures if failure))


def remove(login: str) -> None:
    release(login)
    rules = sudoers([], login)
    if rules == sudoers([], ""):
        SUDOERS.unlink(missing_ok=True)
    else:
        write_sudoers(rules, login)
    for name in made():
        forget(name)
    MADE.unlink(missing_ok=True)
    DESIRED.unlink(missing_ok=True)


def main(verb: str, login: str) -> None:
    if verb == "remove":
        remove(login)
        return
    people = desired(login)
    if verb == "apply":
        apply(people, login)
        return
    if found := differences(people, login):
        sys.exit("\n".join(found))
    if verb == "show":
        for one in people:
            rights = ", ".join(one.commands) or "none"
            print(f"{one.name}: {len(one.keys)} key{'' if len(one.keys) == 1 else 's'}, sudo {rights}")


if __name__ == "__main__":
    main(*sys.argv[1:])
