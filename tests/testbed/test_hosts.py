"""Instances that reboot, vanish, show another host key or do not answer during a task: the error and the repair."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tests.testbed.site import SERVICE, Site


@pytest.fixture
def small(site: Site) -> Site:
    """Deploy a cluster of a master and one slave."""
    site.dtk.run("deploy", "acme:site/cluster", SERVICE, "--set", "slaves/cardinality=1")
    return site


def state_file(site: Site) -> Path:
    return Path(site.dtk.root) / ".dtk" / "services" / SERVICE / "state.json"


def begun(site: Site, seconds: int = 60) -> int:
    """Start a task whose step on the master takes ``seconds``; return its number once that step runs."""
    site.dtk.run("set-attribute", SERVICE, "master/site::roll/pause", str(seconds))
    site.dtk.run("apply", SERVICE, "--yes", "--detach")
    number = int(site.dtk.json("task-status", SERVICE)["task"])
    eventually(
        lambda: [e for e in site.dtk.events(SERVICE, number) if e["type"] == "step.started" and e["node"] == "master"],
        "the master is worked on",
    )
    time.sleep(2)
    return number


def lost(site: Site, number: int) -> str:
    """Return why the step on the master failed, and check that the task's status shows it."""
    shown = site.dtk.run("task-status", SERVICE, "--wait", code=1).stdout
    steps = [event for event in site.dtk.events(SERVICE, number) if event["type"] == "step.finished"]
    (message,) = [event["error"]["message"] for event in steps if event["status"] == "failed"]
    assert message in shown
    return str(message)


def test_a_node_that_reboots_and_one_that_vanishes_fail_the_step_and_are_repaired(small: Site) -> None:
    dtk = small.dtk
    instances = small.ids()
    number = begun(small)
    small.host("master").reboot()
    assert "the connection to master was lost: the node went down or rebooted" in lost(small, number)
    assert small.ids() == instances
    small.check_count(2)
    dtk.run("set-attribute", SERVICE, "master/site::roll/pause", "0")
    dtk.run("apply", SERVICE, "--resume", "--yes")

    number = begun(small)
    small.bed.client().terminate_instances(InstanceIds=[instances["master"]])
    assert "the connection to master was lost: the node went down" in lost(small, number)
    dtk.run("set-attribute", SERVICE, "master/site::roll/pause", "0")
    plan = dtk.run("plan", SERVICE, "--refresh").stdout
    assert f"{instances['master']} is gone" in plan
    assert "+ create master" in plan
    dtk.run("apply", SERVICE, "--refresh", "--yes")
    small.check_count(2)
    assert small.ids()["slaves:1"] == instances["slaves:1"]
    assert small.ids()["master"] != instances["master"]
    assert small.on("master", "cat members").split()


def test_a_wrong_key_a_changed_host_key_a_closed_port_and_silence_are_told_in_time(small: Site) -> None:
    dtk = small.dtk
    file = state_file(small)

    def output(within: float) -> str:
        began = time.monotonic()
        dtk.run("converge", SERVICE, "--yes", code=1)
        assert time.monotonic() - began < within
        number = int(dtk.json("task-status", SERVICE)["task"])
        failed = [e for e in dtk.events(SERVICE, number) if e["type"] == "step.finished" and e["status"] == "failed"]
        return str(failed[0]["error"]["message"])

    document = json.loads(file.read_text())
    right = document["nodes"]["slaves:1"]["connection"]["key"]
    wrong = Path(dtk.root) / "wrong"
    wrong.write_bytes(_another_key())
    wrong.chmod(0o600)
    document["nodes"]["slaves:1"]["connection"]["key"] = str(wrong)
    file.write_text(json.dumps(document))
    assert "refuses admin with the key" in output(60)
    document = json.loads(file.read_text())
    document["nodes"]["slaves:1"]["connection"]["key"] = right
    file.write_text(json.dumps(document))

    small.on("slaves:1", "sudo rm /etc/ssh/ssh_host_*; sudo ssh-keygen -A; sudo systemctl restart ssh")
    assert "host key" in output(60)
    known = file.parent / "known_hosts"
    known.write_text("")
    small_host = small.host("slaves:1")
    dtk.run("converge", SERVICE, "--yes")

    settings = dtk.root / "dtk.yaml"
    settings.write_text(settings.read_text().replace("connect_timeout: 60", "connect_timeout: 10"))
    small.on("slaves:1", "sudo systemctl stop ssh.socket ssh")
    assert " within 10 s: " in output(100)
    small_host.unplug()
    assert " within 10 s: " in output(100)


def _another_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat  # noqa: PLC0415

    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
