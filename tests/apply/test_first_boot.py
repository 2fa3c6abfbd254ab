"""Tests of a first boot on a real sshd: cloud-init regenerates the host keys, automatic updates hold apt's lock."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dtk.model.plan import Stage, Step
from tests.apply.lab import Lab, Result, action, operation, run, stage, wait_until
from tests.reliability.forms import long_form
from tests.ssh.openssh import OpenSsh, openssh_servers

# A fake cloud-init that exits once automatic updates hold apt's lock, as at a first boot. The processes that it starts
# run in the test machine's namespaces.
CLOUD_INIT = """#!/bin/sh
[ "$*" = "status --wait" ] || exit 0
cd {folder}
rm host_key host_key.pub
ssh-keygen -q -t ed25519 -N "" -f host_key
kill -HUP 1
exec </dev/null >/dev/null 2>&1
setsid flock /var/lib/dpkg/lock-frontend sh -c 'touch held; sleep {seconds}; touch released' &
while [ ! -e held ]; do sleep 0.1; done
"""


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Iterator[OpenSsh]:
    """Yield a machine whose PATH starts with the folder ``bin``."""
    (tmp_path / "bin").mkdir()
    with openssh_servers(lab, tmp_path) as start:
        yield start(settings=f"SetEnv PATH={tmp_path}/bin:/usr/sbin:/usr/bin:/sbin:/bin\n")


def put_program(folder: Path, name: str, text: str) -> None:
    (folder / "bin" / name).write_text(text)
    (folder / "bin" / name).chmod(0o755)


def create(lab: Lab, machine: OpenSsh, *stages: Stage) -> Result:
    """Create the node ``master`` from the machine, then run further stages."""
    address = {"address": machine.host, "port": machine.port}
    rack = {"name": "rack", "type": "hosts", "hosts": {"alpha": address}, "user": "tester", "key": str(lab.key_file)}
    made = Stage("1", "nodes", (Step("1.1", "create_node", "master"),))
    return lab.apply(made, *stages, target=rack)


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=long_form)])
def test_a_node_is_pinned_and_configured_once_cloud_init_and_automatic_updates_are_done(
    lab: Lab, machine: OpenSsh, tmp_path: Path, seconds: int
) -> None:
    folder = machine.home.parent
    before = (folder / "host_key.pub").read_text().split()[1]
    put_program(tmp_path, "cloud-init", CLOUD_INIT.format(folder=folder, seconds=seconds))
    result = create(lab, machine, stage(2, action("master", "m::c", run(f"test -e {folder}/released"))))
    assert result.exit_code == 0, result.end
    now = (folder / "host_key.pub").read_text().split()[1]
    assert now != before
    entry = f"[{machine.host}]:{machine.port} ssh-ed25519"
    assert lab.workspace.known_hosts("dask1").read_text() == f"{entry} {now}\n"
    assert lab.state.nodes["master"].attributes["host_key"] == f"ssh-ed25519 {now}"
    assert lab.apply(stage(1, action("master", "m::c", run("true")))).exit_code == 0


def test_a_key_that_changes_before_the_first_login_is_no_stranger(lab: Lab, machine: OpenSsh) -> None:
    folder = machine.home.parent
    allowed = (folder / "authorized_keys").read_text()
    (folder / "authorized_keys").write_text("")
    address = {"address": machine.host, "port": machine.port}
    rack = {"name": "rack", "type": "hosts", "hosts": {"alpha": address}, "user": "tester", "key": str(lab.key_file)}
    started = lab.start(Stage("1", "nodes", (Step("1.1", "create_node", "master"),)), target=rack)
    # Wait for sshd's log message about a login with a key that it rejects.
    wait_until(lambda: "authenticating user tester" in (folder / "log").read_text())
    (folder / "host_key").unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host_key"], input=b"y\n", check=True)
    machine.reload()
    (folder / "authorized_keys").write_text(allowed)
    assert lab.result(started).exit_code == 0


APT_GET = """#!/bin/sh
echo "$*" >>{folder}/asked
[ ! -e {folder}/held ] || [ -e {folder}/released ] || echo locked >>{folder}/asked
"""


def test_each_apt_of_a_task_waits_for_the_lock(lab: Lab, machine: OpenSsh, tmp_path: Path) -> None:
    folder = machine.home.parent
    put_program(tmp_path, "apt-get", APT_GET.format(folder=folder))
    hold = "flock /var/lib/dpkg/lock-frontend sh -c 'touch held; sleep 3; touch released' </dev/null >/dev/null 2>&1 &"
    begin = f"cd {folder}; setsid {hold} while [ ! -e held ]; do sleep 0.1; done"
    put_program(tmp_path, "begin-updates", f"#!/bin/sh\n{begin}\n")
    packages = operation("apt.packages", {"packages": ["no-such-package-of-dtk"]})
    one = action("master", "m::c", run("begin-updates"), operation("apt.update", {}), packages)
    assert create(lab, machine, stage(2, one)).exit_code == 0
    update, install = (folder / "asked").read_text().splitlines()
    assert update == "update"
    assert "-o DPkg::Lock::Timeout=300 install" in install


def test_a_host_of_another_service_is_refused_without_waiting_for_its_first_boot(
    lab: Lab, machine: OpenSsh, tmp_path: Path
) -> None:
    put_program(tmp_path, "cloud-init", f"#!/bin/sh\ntouch {tmp_path}/waited\n")
    mark = {"format_version": 1, "workspace": "w", "service": "other", "lineage": "l", "node": "n", "since": "today"}
    name = subprocess.run(["uname", "-n"], capture_output=True, text=True, check=True).stdout.strip()
    file = machine.home / ".dtk" / f"host-{name}.json"
    file.parent.mkdir()
    # Without a line end, as after a full disk.
    file.write_text(json.dumps({**mark, "dtk_version": "0", "origin": ""}))
    result = create(lab, machine)
    assert result.exit_code == 1
    assert "is n of service 'other'" in result.step("1.1")["error"]["message"]
    assert not (tmp_path / "waited").exists()
    assert "master" not in lab.state.nodes
    file.unlink()
    assert create(lab, machine).exit_code == 0
    assert (tmp_path / "waited").exists()
