"""Instances where cloud-init still runs when SSH answers: a stand-in that takes its time and may fail."""

from __future__ import annotations

from pathlib import Path

from ruamel.yaml import YAML

from tests.testbed.bed import Bed
from tests.testbed.site import SERVICE, Site

CLOUD_INIT = """#!/bin/sh
case $* in
    "status --wait") sleep 3; sudo ln -s /usr/bin/python3 /usr/local/bin/python3; echo done >/tmp/done; exit %(code)s ;;
    "status --long") printf 'status: error\\ndetail: scripts-user failed\\n' ;;
esac
"""
MODULE = """
dsl_version: 1.0.0
module: acme/boot
version: 0.1.0
components:
  look: {actions: {create: {commands: ["RUN grep done /tmp/done && test {{ node.python }} = /usr/local/bin/python3"]}}}
  any: {actions: {create: {commands: ["RUN 'true'"]}}}
assemblies:
  two:
    nodes:
      fine: {components: ['boot::look']}
      poor: {attributes: {image: poor}, components: ['boot::any']}
"""


def image(site: Site, bed: Bed, name: str, code: int) -> dict[str, str]:
    program = site.dtk.root / name
    program.write_text(CLOUD_INIT % {"code": code})
    program.chmod(0o755)
    return {"image": bed.add_image(name, {"/usr/local/bin/cloud-init": program}), "user": "admin"}


def add_images(site: Site, bed: Bed) -> None:
    settings = site.dtk.root / "dtk.yaml"
    document = YAML().load(settings)
    document["targets"]["vpc"]["images"] |= {
        "debian": image(site, bed, "debian", 0),
        "poor": image(site, bed, "poor", 1),
    }
    YAML().dump(document, settings)


def test_a_node_is_configured_once_its_first_boot_is_done_and_users_words_that_fail_there_are_told(
    site: Site, bed: Bed
) -> None:
    add_images(site, bed)
    folder = site.dtk.root / "modules" / "acme" / "boot"
    folder.mkdir(parents=True)
    Path(folder, "dtk.module.yaml").write_text(MODULE)
    site.dtk.run("deploy", "acme:boot/two", SERVICE)
    site.dtk.run("add-node", SERVICE, "poorer", "--set", "image=poor", "--set", "user_data=#!/bin/false")
    failed = site.dtk.run("apply", SERVICE, "--yes", code=1).stdout
    assert "cloud-init failed on poorer: status: error; detail: scripts-user failed" in failed
    assert "/var/log/cloud-init-output.log on poorer" in failed
    site.check_count(3)
