"""An EC2 service used from clones that have only what is in git: its instances are created only once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.support.command_line import Dtk
from tests.testbed.bed import Bed
from tests.testbed.site import MODULE, SERVICE, team_site_in


@pytest.fixture
def origin(bed: Bed, tmp_path: Path) -> Iterator[Dtk]:
    """Create what is committed: dtk.yaml with a key pair that the team has, a module, a service of three nodes."""
    with team_site_in(tmp_path / "origin", bed) as made:
        shutil.copytree(MODULE, made.dtk.root / "modules" / "acme" / "site")
        made.dtk.run("stage", "acme:site/cluster", SERVICE)
        yield made.dtk


def clone(origin: Dtk, name: str) -> Dtk:
    """Make a fresh clone: everything in git, without .dtk."""
    root = origin.root.parent / name
    shutil.copytree(origin.root, root, ignore=shutil.ignore_patterns(".dtk"))
    return Dtk(root)


def test_three_clones_make_a_service_on_ec2_once(origin: Dtk, bed: Bed) -> None:
    one = clone(origin, "one")
    one.run("plan", SERVICE, "--out", "../plan.json")
    one.run("apply", "../plan.json")
    made = set(bed.instances())
    assert len(made) == 3

    asked = len(bed.api.called("DescribeInstances"))
    again = clone(origin, "two").run("apply", "../plan.json", code=5).stderr
    assert "3 machines of service 'site1' exist that this folder does not know" in again
    assert "dtk list-nodes --orphans --adopt" in again
    look = bed.api.called("DescribeInstances")[asked:]
    assert len(look) == 1
    assert look[0]["MaxResults"] == "1000"
    assert set(bed.instances()) == made

    three = clone(origin, "three")
    for command in (["apply", SERVICE, "--yes"], ["stop", SERVICE], ["exec", SERVICE, "publish", "word=x"]):
        done = three.run(*command, code=5)
        assert "3 machines" in done.stderr, command
        assert "Nothing to do" not in done.stdout
    assert set(bed.instances()) == made
    three.run("list-nodes", "--orphans", "--adopt")
    three.run("apply", SERVICE, "--yes")
    assert "Nothing to do" in three.run("plan", SERVICE).stdout
    assert set(bed.instances()) == made

    four = clone(origin, "four")
    four.run("delete-and-destroy", SERVICE, "--yes")
    assert bed.instances() == {}


def test_three_clones_with_a_store_go_on_from_each_other(origin: Dtk, bed: Bed) -> None:
    """Use the service's own key pair; the clones get its private key from the store."""
    yaml = YAML()
    config = yaml.load((origin.root / "dtk.yaml").read_text())
    del config["targets"]["vpc"]["key_pair"], config["targets"]["vpc"]["key"]
    with (origin.root / "dtk.yaml").open("w") as file:
        yaml.dump({**config, "store": {"type": "folder", "path": "../store"}}, file)
    one = clone(origin, "one")
    one.run("plan", SERVICE, "--out", "../plan.json")
    one.run("apply", "../plan.json")
    made = set(bed.instances())
    assert len(made) == 3
    assert "the plan is stale" in clone(origin, "two").run("apply", "../plan.json", code=5).stderr
    three = clone(origin, "three")
    assert "Nothing to do" in three.run("apply", SERVICE, "--yes").stdout
    assert set(bed.instances()) == made
    # This clone has pinned no host key and created no key pair.
    assert three.run("ssh", SERVICE, "master", "--", "echo here").stdout == "here\n"
    clone(origin, "four").run("delete-and-destroy", SERVICE, "--yes")
    assert bed.instances() == {}
