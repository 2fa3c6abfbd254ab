"""Tests of what programs on a local node may do and see: no root, no credentials, a working Python."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import asyncssh
import pytest

from dtk.nodes.provider import NodeRecord
from tests.nodes.clients import connect, output, run
from tests.nodes.service import Service

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


def test_a_node_does_not_run_as_root(master: NodeRecord) -> None:
    assert output(master, "id -u") != "0"
    assert output(master, "id -un; id -G") != "root\n0"
    assert output(master, "id -un") == master.connection.user


@ON_LINUX
def test_a_node_can_gain_no_privileges(master: NodeRecord) -> None:
    status = dict(line.split(":\t", 1) for line in output(master, "cat /proc/self/status").splitlines())
    assert status["NoNewPrivs"] == "1"
    assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    if os.geteuid() == 0:
        assert status["Groups"].strip() == ""


def test_sudo_is_shut(master: NodeRecord) -> None:
    assert run(master, "sudo -n true").exit_status != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a setuid program")
def test_a_setuid_program_of_roots_does_not_give_its_rights(master: NodeRecord, tmp_path: Path) -> None:
    program = Path(str(master.attributes["home"])).parent / "id"
    shutil.copy("/usr/bin/id", program)
    program.chmod(0o4755)
    try:
        assert output(master, f"{program} -u") != "0"
    finally:
        program.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user can always read its own files")
def test_a_node_made_by_root_cannot_read_the_workspaces_state(master: NodeRecord) -> None:
    assert run(master, f"cat {master.connection.key}").exit_status != 0


def test_only_the_services_key_logs_in(master: NodeRecord) -> None:
    async def attempt(**options: object) -> str:
        async with connect(master, **options) as connection:
            return str((await connection.run("echo in")).stdout)

    for options in ({"client_keys": [asyncssh.generate_private_key("ssh-ed25519")]}, {"username": "root"}):
        with pytest.raises(asyncssh.PermissionDenied):
            asyncio.run(attempt(**options))
    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(attempt(client_keys=None, password="secret"))
    assert asyncio.run(attempt()) == "in\n"


def test_private_keys_are_private(master: NodeRecord) -> None:
    assert Path(master.connection.key).stat().st_mode & 0o777 == 0o600


def test_the_environment_holds_the_network_settings_and_no_credentials(
    new_service: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("GITHUB_TOKEN", "hush")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("PIP_TIMEOUT", "77")
    service = new_service()
    (node,) = service.create("slaves:1")
    found = dict(line.split("=", 1) for line in output(node, "env").splitlines())
    home = node.attributes["home"]
    assert "hush" not in " ".join(found.values())
    assert (found["https_proxy"], found["PIP_TIMEOUT"]) == ("http://proxy.example:3128", "77")
    assert (found["HOME"], found["TMPDIR"], found["DTK_NODE"]) == (home, f"{home}/tmp", service.marker("slaves:1"))
    assert found["USER"] == found["LOGNAME"] == node.connection.user
    assert not {"PYTHONPATH", "SSH_AUTH_SOCK", "VIRTUAL_ENV"} & found.keys()


def test_the_nodes_python_makes_virtual_environments(service: object) -> None:
    (node,) = service.create("slaves:1")  # type: ignore[attr-defined]
    version = output(node, "python3 -c 'import sys, ensurepip; print(sys.version_info >= (3, 11))'")
    assert version == "True"
    output(node, "python3 -m venv --without-pip $HOME/environment")
    prefix = output(node, "environment/bin/python -c 'import sys, ssl; print(sys.prefix)'")
    assert prefix == f"{node.attributes['home']}/environment"
    assert output(node, f"{node.attributes['python']} -c 'print(1)'") == "1"


def test_modules_learn_what_kind_of_machine_it_is(master: NodeRecord) -> None:
    attributes = master.attributes
    assert (attributes["port_offset"], attributes["shared_address"], attributes["has_systemd"]) == (0, False, False)
    assert attributes["host_address"] == master.connection.hostname
    assert attributes["availability_zone"] == ""
    assert str(attributes["os"]).startswith(("macos-", "debian-", "ubuntu-", "fedora-")) or attributes["os"]


def test_the_key_of_another_service_does_not_log_in(new_service: Callable[..., Service]) -> None:
    (mine,), (other,) = (new_service(name=name).create("master") for name in ("dask1", "dask2"))
    assert mine.connection.key != other.connection.key

    async def attempt() -> None:
        async with connect(mine, client_keys=[other.connection.key]):
            pass

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(attempt())


@pytest.mark.skipif(os.geteuid() != 0 or sys.platform != "linux", reason="only root can be another user")
def test_another_user_of_this_machine_neither_logs_in_nor_reads_what_is_the_services(
    service: Service, master: NodeRecord
) -> None:
    def as_other(*words: str) -> subprocess.CompletedProcess[str]:
        user = ("setpriv", "--reuid=games", "--regid=games", "--clear-groups")
        return subprocess.run([*user, *words], capture_output=True, text=True, check=False, cwd="/")

    connection = master.connection
    quiet = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null")
    options = [word for option in quiet for word in ("-o", option)]
    login = f"{connection.user}@{connection.hostname}"
    attempt = as_other("ssh", "-F", "none", *options, "-p", str(connection.port), login, "true")
    assert attempt.returncode == 255
    assert "Permission denied" in attempt.stderr
    # Make the parent folders traversable, so that only the folder's own mode protects it.
    for folder in (path for path in service.workspace.local.parents if path != Path("/")):
        folder.chmod(folder.stat().st_mode | 0o011)
    assert "Permission denied" in as_other("ls", str(service.workspace.local)).stderr
    assert "Permission denied" in as_other("cat", connection.key).stderr
    server = output(master, "echo $PPID")
    assert as_other("kill", "-0", server).returncode != 0
