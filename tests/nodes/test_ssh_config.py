"""Tests of the settings that dtk takes from ``~/.ssh/config``: odd content, included files, and who may write them."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dtk.errors import InvalidError
from dtk.nodes.provider import Connection
from dtk.nodes.ssh_config import with_ssh_config

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return a function that writes a file of ``~/.ssh`` that only its owner can change."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def settings(text: str, name: str = "config") -> Path:
        file = tmp_path / ".ssh" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o600)
        return file

    return settings


def found(host: str) -> Connection:
    return with_ssh_config(Connection(host), has_way=False)


def of_openssh(file: Path, host: str, setting: str) -> str:
    """Return the value that OpenSSH itself uses for a host."""
    # OpenSSH takes the home folder from the password database, not from HOME.
    text = file.read_text().replace("Include ", f"Include {file.parent}/")
    other = file.with_name("for_openssh")
    other.write_text(text)
    done = subprocess.run(["ssh", "-G", "-F", other, host], capture_output=True, text=True, check=True)
    return next(line.partition(" ")[2] for line in done.stdout.splitlines() if line.startswith(f"{setting} "))


def test_a_comment_at_the_end_of_a_line_is_not_part_of_its_value(write: Write) -> None:
    file = write(
        'Host web # the site\n  HostName 10.0.0.1 # x\n  Port 2222 # y\n  User "a #b" # z\n'
        "  ProxyJump b#1 # no comment without a space\n"
    )
    assert found("web") == Connection("10.0.0.1", 2222, "a #b", jump="b#1:22")
    assert [of_openssh(file, "web", one) for one in ("hostname", "port")] == ["10.0.0.1", "2222"]
    assert found("#").hostname == "#"


@pytest.mark.parametrize("host", ["web", "behind"])
@pytest.mark.parametrize("port", ["abc", "0", "70000"])
def test_a_port_that_is_not_a_number_is_reported(write: Write, host: str, port: str) -> None:
    write(f"Host web\n  Port {port}\nHost behind\n  ProxyJump web\n")
    with pytest.raises(InvalidError, match=rf"\.ssh/config can't be used for web: Port {port} is not a port number"):
        found(host)


def test_a_host_name_without_domains_to_complete_it_is_reported(write: Write) -> None:
    write("CanonicalizeHostname yes\n")
    with pytest.raises(InvalidError, match="CanonicalizeHostname needs CanonicalDomains"):
        found("web")


def test_a_user_without_a_name_is_reported(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 4321")

    monkeypatch.setattr(getpass, "getuser", nobody)
    write("User %u\nHostName %h\n")
    with pytest.raises(InvalidError, match=r"the current user is not known \(set LOGNAME\): .* 4321"):
        found("web")


def test_a_file_of_an_unknown_user_is_reported(write: Write) -> None:
    write("Include ~nosuchuser/x\n")
    with pytest.raises(InvalidError, match=r"includes ~nosuchuser/x, but this machine has no such user"):
        found("web")


def test_a_file_included_for_some_hosts_applies_to_no_other(write: Write) -> None:
    file = write("Host work-*\n  Include work.conf\n  Include second.conf\nHost *\n  User me\n")
    write(
        "Port 2201\nHost *\n  User worker\nHost work-a home\n  HostName 10.0.0.1\n"
        "Match originalhost *-b\n  HostName 10.0.0.2\n",
        "work.conf",
    )
    write("Host !work-a *\n  Port 2202\nMatch all\n  Port 2203\n", "second.conf")
    wanted = {
        "work-a": Connection("10.0.0.1", 2201, "worker"),
        "work-b": Connection("10.0.0.2", 2201, "worker"),
        "home": Connection("home", 22, "me"),
        "x-b": Connection("x-b", 22, "me"),
    }
    for host, connection in wanted.items():
        assert found(host) == connection
        of_them = [of_openssh(file, host, one) for one in ("hostname", "port", "user")]
        assert of_them == [connection.hostname, str(connection.port), connection.user]


@pytest.mark.parametrize(
    "criteria", ["Host web", "HOST web,db-*", "OriginalHost web", "!Host web", 'EXEC "test %h = db-1"']
)
def test_a_keyword_of_match_may_have_capitals(write: Write, criteria: str) -> None:
    file = write(f"Match {criteria}\n  Port 2201\nMatch ALL\n  User me\n")
    for host in ("db-1", "other", "web"):
        wanted = Connection(host, int(of_openssh(file, host, "port")), of_openssh(file, host, "user"))
        assert found(host) == wanted


def test_a_file_included_after_another_is_not_under_its_last_section(write: Write) -> None:
    write("Include conf.d/*\n")
    write("Host a\n  Port 2201\n", "conf.d/1")
    write("User me\n", "conf.d/2")
    assert found("b").user == "me"


def test_a_pattern_may_be_in_each_part_of_an_included_path(write: Write) -> None:
    write('Include d/*/x.conf "with space/y.conf"\n')
    write("Host a\n  HostName 10.0.0.1\n", "d/one/x.conf")
    write("Host b\n  HostName 10.0.0.2\n", "d/two/x.conf")
    write("Host c\n  HostName 10.0.0.3\n", "with space/y.conf")
    assert [found(host).hostname for host in "abc"] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


def test_a_changed_or_new_file_is_noticed(write: Write) -> None:
    write("Include conf.d/*\n")
    one = write("User me\n", "conf.d/1")
    assert found("a") == Connection("a", user="me")
    one.write_text("User you\n")
    os.utime(one, ns=(1, 1))
    assert found("a") == Connection("a", user="you")
    write("Port 2201\n", "conf.d/2")
    assert found("a") == Connection("a", 2201, "you")


def test_a_host_is_looked_up_once(write: Write, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    write(f'Match exec "echo >> {ran}"\n  User me\n')
    assert {found("a").user for _ in range(5)} == {"me"}
    assert len(ran.read_text().splitlines()) == 2, "paramiko evaluates Match twice for each look-up"


def test_a_command_of_match_is_run_in_a_worker_as_well(write: Write) -> None:
    write('Match exec "test %h = a"\n  User me\n')
    program = (
        "import gevent.monkey; gevent.monkey.patch_all()\n"
        "from tests.nodes.test_ssh_config import found\n"
        "print(found('a').user, found('b').user or 'nobody')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "me nobody\n"


@pytest.mark.parametrize("name", ["config", "included"])
def test_a_file_that_others_can_change_is_refused(write: Write, name: str) -> None:
    write("Include included\n")
    write("User me\n", "included")
    assert found("a").user == "me"
    file = write("Include included\n" if name == "config" else "User me\n", name)
    file.chmod(0o660)
    os.utime(file, ns=(1, 1))
    with pytest.raises(InvalidError, match=f"other users can change {file}"):
        found("a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(write: Write) -> None:
    file = write("User me\n")
    os.chown(file, 4321, -1)
    with pytest.raises(InvalidError, match=f"other users can change {file}"):
        found("a")
