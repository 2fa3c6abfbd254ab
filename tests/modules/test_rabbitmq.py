"""dtk:rabbitmq on machines that boot here: no confirmed message is lost while a broker has no power.

One test with one deployment: the steps build on each other. The long form also removes a broker.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.reliability.forms import IS_LONG
from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.command_line import BedDtk, bed_workspace

SERVICE = "rabbit1"
ENVIRONMENT: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "RABBITMQ_PASSWORD": 'it\'s a \\"secret" of 7',
    "RABBITMQ_COOKIE": "C00kie0fTheTestOfBrokers",
}
# Publishes numbers, each with a confirmation, until told to stop; notes those that were confirmed.
PUBLISHER = """
import json, pathlib, sys, time
sys.path.insert(0, "/usr/local/lib/dtk")
import pika, rabbitmq_smoke_test
settings = json.loads(pathlib.Path("/etc/rabbitmq/client.json").read_text())
here = rabbitmq_smoke_test.channel(settings, settings["host"])
here.queue_declare("numbers", durable=True, arguments={"x-queue-type": "quorum"})
here.confirm_delivery()
number = 0
while not pathlib.Path("stop").exists():
    number += 1
    here.basic_publish("", "numbers", str(number).encode(), mandatory=True)
    with open("confirmed", "a") as file:
        file.write(f"{number}\\n")
    time.sleep(0.02)
received = []
for _, _, body in here.consume("numbers", auto_ack=True, inactivity_timeout=5):
    if body is None:
        break
    received.append(body.decode())
pathlib.Path("received.new").write_text("\\n".join(received))
pathlib.Path("received.new").rename("received")
"""


@pytest.fixture
def dtk(bed: Bed, tmp_path: Path) -> BedDtk:
    return bed_workspace(tmp_path, bed)


def ssh(dtk: BedDtk, node: str, command: str) -> str:
    return dtk.run("ssh", SERVICE, node, "--", command, code=None, **ENVIRONMENT).stdout.strip()


def everything_written(root: Path) -> str:
    folder = root / ".dtk" / "services" / SERVICE
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def running(dtk: BedDtk) -> int:
    status = dtk.on(SERVICE, "brokers:1", "sudo rabbitmqctl -q cluster_status --formatter json")
    return len(json.loads(status)["running_nodes"]) if status else 0


def confirmed(dtk: BedDtk) -> list[str]:
    return dtk.on(SERVICE, "brokers:1", "cat publisher/confirmed").split()


def brokers_have_what_was_published(dtk: BedDtk) -> None:
    dtk.run("stage", "dtk:rabbitmq/cluster", SERVICE, "--target", "bed")
    output = dtk.run("apply", SERVICE, "--yes", **ENVIRONMENT).stdout
    assert output.count("received from") == 3
    assert running(dtk) == 3
    kept = output + everything_written(dtk.root)
    assert not [name for name in ("RABBITMQ_PASSWORD", "RABBITMQ_COOKIE") if ENVIRONMENT[name] in kept]
    assert "Nothing had to be changed." in dtk.run("converge", SERVICE, "--yes", **ENVIRONMENT).stdout


def a_client_publishes_without_stop(dtk: BedDtk) -> None:
    script = base64.b64encode(PUBLISHER.encode()).decode()
    ready = f"mkdir publisher && cd publisher && echo {script} | base64 -d >publisher.py || exit 1"
    command = f"{ready}; sudo python3 publisher.py >output 2>&1 </dev/null & echo started"
    assert "started" in ssh(dtk, "brokers:1", command)
    eventually(lambda: confirmed(dtk), "the client publishes")


def a_broker_that_loses_power_is_not_missed(bed: Bed, dtk: BedDtk) -> None:
    lost = dtk.host(SERVICE, "brokers:3")
    lost.cut_power()
    before = len(confirmed(dtk))
    eventually(lambda: len(confirmed(dtk)) > before + 20, "the client can publish again")
    lost.power_on(lost.addresses)
    eventually(lambda: running(dtk) == 3, "the broker is back")


def a_broker_that_goes_is_forgotten(dtk: BedDtk) -> None:
    dtk.run("set-attribute", SERVICE, "brokers/cardinality", "2")
    dtk.run("apply", SERVICE, "--yes", **ENVIRONMENT)
    status = json.loads(ssh(dtk, "brokers:1", "sudo rabbitmqctl -q cluster_status --formatter json"))
    assert len(status["disk_nodes"]) == len(status["running_nodes"]) == 2


def no_confirmed_message_is_lost(dtk: BedDtk) -> None:
    ssh(dtk, "brokers:1", "touch publisher/stop")
    received = eventually(
        lambda: dtk.on(SERVICE, "brokers:1", "cat publisher/received").split(), "the client has stopped"
    )
    assert set(confirmed(dtk)) - set(received) == set()


def test_no_confirmed_message_is_lost_without_power(bed: Bed, dtk: BedDtk) -> None:
    """Run the steps in order; each continues from the previous one, and its name says what it checks."""
    brokers_have_what_was_published(dtk)
    a_client_publishes_without_stop(dtk)
    a_broker_that_loses_power_is_not_missed(bed, dtk)
    if IS_LONG:
        a_broker_that_goes_is_forgotten(dtk)
    no_confirmed_message_is_lost(dtk)
    dtk.run("delete-and-destroy", SERVICE, "--yes", **ENVIRONMENT)
    assert bed.instances() == {}
