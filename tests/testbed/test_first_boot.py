"""Instances where cloud-init and automatic updates still run when SSH answers: a stand-in that may fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.reliability.forms import long_form
from tests.testbed.bed import Bed
from tests.testbed.site import SERVICE, Site

# Automatic updates take apt's lock as dpkg does, before cloud-init ends, and hold it for some seconds longer.
CLOUD_INIT = """#!/bin/sh
case $* in
    "status --wait")
        sleep 3
        sudo ln -s /usr/bin/python3 /usr/local/bin/python3
        echo done >/tmp/done
        sudo setsid python3 -c '
import fcntl, pathlib, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
pathlib.Path("/tmp/held").touch()
time.sleep(%(seconds)s)
pathlib.Path("/tmp/released").touch()
' </dev/null >/dev/null 2>&1 &
        while [ ! -e /tmp/held ]; do sleep 0.1; done
        exit %(code)s ;;
    "status --long") printf 'status: error\\ndetail: scripts-user failed\\n' ;;
esac
"""
MODULE = """
dsl_version: 1.0.0
module: acme/boot
version: 0.1.0
components:
  look:
    actions:
      create:
        commands:
        - RUN grep done /tmp/done && test {{ node.python }} = /usr/local/bin/python3
        - RUN test -e /tmp/released && sudo dpkg --configure -a
  any: {actions: {create: {commands: ["RUN 'true'"]}}}
assemblies:
  two:
    nodes:
      fine: {components: ['boot::look']}
      poor: {attributes: {image: poor}, components: ['boot::any']}
"""


def image(site: Site, bed: Bed, name: str, code: int, seconds: int) -> dict[str, str]:
    program = site.dtk.root / name
    program.write_text(CLOUD_INIT % {"code": code, "seconds": seconds})
    program.chmod(0o755)
    return {"image": bed.add_image(name, {"/usr/local/bin/cloud-init": program}), "user": "admin"}


def add_images(site: Site, bed: Bed, seconds: int) -> None:
    settings = site.dtk.root / "dtk.yaml"
    document = YAML().load(settings)
    document["targets"]["vpc"]["images"] |= {
        "debian": image(site, bed, "debian", 0, seconds),
        "poor": image(site, bed, "poor", 1, seconds),
    }
    YAML().dump(document, settings)


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=long_form)])
def test_a_node_is_configured_once_its_first_boot_is_done_and_failing_user_data_is_an_error(
    site: Site, bed: Bed, seconds: int
) -> None:
    add_images(site, bed, seconds)
    folder = site.dtk.root / "modules" / "acme" / "boot"
    folder.mkdir(parents=True)
    Path(folder, "dtk.module.yaml").write_text(MODULE)
    site.dtk.run("deploy", "acme:boot/two", SERVICE)
    site.dtk.run("add-node", SERVICE, "poorer", "--set", "image=poor", "--set", "user_data=#!/bin/false")
    failed = site.dtk.run("apply", SERVICE, "--yes", code=1).stdout
    assert "cloud-init failed on poorer: status: error; detail: scripts-user failed" in failed
    assert "/var/log/cloud-init-output.log on poorer" in failed
    site.check_count(3)
