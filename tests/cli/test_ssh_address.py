"""``user@host:port`` is parsed in the same way wherever an SSH server is named, IPv6 included."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from dtk.cli.openssh import ssh_arguments
from dtk.dsl.workspace import load_workspace
from dtk.errors import InvalidError, UsageError
from dtk.model.ssh_address import SshAddress, parse_ssh_address
from dtk.model.target import Target
from dtk.nodes.hosts.description import HOSTS
from dtk.nodes.hosts.provider import read_hosts
from dtk.nodes.provider import Connection
from dtk.state.workspace import Workspace


@pytest.mark.parametrize(
    ("text", "address", "written"),
    [
        ("web1", SshAddress("web1"), "web1:22"),
        ("ops@web1:2222", SshAddress("web1", 2222, "ops"), "ops@web1:2222"),
        ("10.0.0.5:22", SshAddress("10.0.0.5"), "10.0.0.5:22"),
        ("ops@[2001:db8::1]:2222", SshAddress("2001:db8::1", 2222, "ops"), "ops@[2001:db8::1]:2222"),
        ("[::1]", SshAddress("::1"), "[::1]:22"),
        ("2001:db8::1", SshAddress("2001:db8::1"), "[2001:db8::1]:22"),
        ("[fe80::1%eth0]:22", SshAddress("fe80::1%eth0"), "[fe80::1%eth0]:22"),
    ],
)
def test_an_address_is_read_and_written(text: str, address: SshAddress, written: str) -> None:
    assert parse_ssh_address(text) == address
    assert str(address) == written
    assert parse_ssh_address(written) == address


@pytest.mark.parametrize(
    "text",
    ["", "a:b", "a:0", "a:65536", "[::1", "-oProxyCommand=x", "-l@web1", "a b", "a@", "ssh://a", "10.0.0.0/24", "a,b"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an SSH server's address"):
        parse_ssh_address(text)


def test_dtk_ssh_goes_through_a_jump_host_with_an_ipv6_address() -> None:
    connection = Connection("node", jump="ops@[2001:db8::1]:2222")
    proxy = next(word for word in ssh_arguments(connection, Path("known")) if word.startswith("ProxyCommand="))
    assert proxy.endswith(" -l ops -p 2222 -W '[%h]:%p' 2001:db8::1")


def test_a_hosts_address_may_name_user_and_port_and_wins_over_the_target(tmp_path: Path) -> None:
    hosts = {"alpha": {"address": "root@[::1]:2200"}, "beta": {"address": "::1"}}
    target = Target("rack", HOSTS, {"user": "admin", "port": 2222, "hosts": hosts})
    found = {name: host.connection for name, host in read_hosts(target, Workspace(tmp_path)).items()}
    assert (found["alpha"].hostname, found["alpha"].port, found["alpha"].user) == ("::1", 2200, "root")
    assert (found["beta"].hostname, found["beta"].port, found["beta"].user) == ("::1", 2222, "admin")


def test_a_path_with_blanks_quotes_and_percents_is_one_file_to_ssh(tmp_path: Path) -> None:
    folder = tmp_path / 'my "own" 50%d \\ work'
    words = ssh_arguments(Connection("web1", 22, "ops", str(folder / "key")), folder / "known_hosts")
    shown = subprocess.run(["ssh", "-G", *words[1:]], capture_output=True, text=True, check=True).stdout
    (line,) = (line for line in shown.splitlines() if line.startswith("userknownhostsfile "))
    assert line == f"userknownhostsfile {folder}/known_hosts"


def test_dtk_ssh_goes_through_a_chain_of_jump_hosts() -> None:
    connection = Connection("node", jump="ops@one:2201,two")
    proxy = next(word for word in ssh_arguments(connection, Path("known")) if word.startswith("ProxyCommand="))
    inner = next(word for word in shlex.split(proxy.partition("=")[2]) if word.startswith("ProxyCommand=ssh"))
    assert shlex.split(proxy.partition("=")[2])[-4:] == ["22", "-W", "[%h]:%p", "two"]
    assert shlex.split(inner.partition("=")[2])[-4:] == ["2201", "-W", "[%%h]:%%p", "one"]


TARGET = """format_version: 1
targets:
  rack:
    type: hosts
    jump: {jump}
    hosts:
      alpha: {host}
"""


@pytest.mark.parametrize(
    ("jump", "host", "said"),
    [
        ("a", "{address: 'ssh://web1'}", "expected an address or a name, or user@host:port; no URL and no range"),
        ("a", "{address: 10.0.0.0/24}", "expected an address or a name, or user@host:port; no URL and no range"),
        ("a", "{address: 'web1:2222', port: 22}", "expected the port once: in the address or here"),
        ("a", "{address: '[::1]:2222', port: 22}", "expected the port once: in the address or here"),
        ("a", "{address: ops@web1, user: admin}", "expected the user once: in the address or here"),
        ("ssh://a", "{address: web1}", "expected user@host:port, or several of them with commas between"),
        ("'a,,b'", "{address: web1}", "expected user@host:port, or several of them with commas between"),
        ("'ops@a:22,[::1]:2222'", "{address: '2001:db8::1', port: 22, user: admin}", ""),
    ],
)
def test_what_can_be_no_way_to_a_host_is_refused_where_it_is_written(
    tmp_path: Path, jump: str, host: str, said: str
) -> None:
    file = tmp_path / "dtk.yaml"
    file.write_text(TARGET.format(jump=jump, host=host))
    try:
        load_workspace(file, tmp_path)
        problems = ""
    except InvalidError as error:
        problems = str(error)
    assert said in problems
    assert bool(said) == bool(problems)
