"""Tests of two clones that create a service at the same time: only one creates the instances, the other is refused."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.utils import utcnow
from moto.ec2.models import ec2_backends

from dtk.__main__ import run
from dtk.errors import DtkError
from dtk.nodes.ec2 import access
from dtk.nodes.ec2.provider import Ec2Provider
from dtk.nodes.provider import NodeRequest
from dtk.state.workspace import Workspace
from tests.ec2.cloud import REGION, Cloud, Reports

NODES = ("master", "slaves:1", "slaves:2")


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtk.nodes.ec2.made.PAUSE_SECONDS", 0.05)


def create(cloud: Cloud, clone: str, *nodes: str, **settings: Any) -> Reports:
    """Create nodes in a clone with its own state. If the whole call fails, report its error for each node."""
    workspace = Workspace(cloud.workspace.root / clone)
    folder = workspace.service_folder("spark1")
    identity = replace(cloud.identity(), folder=folder, origin=f"state of {clone}")
    made = Reports()
    try:
        provider = Ec2Provider(workspace, cloud.target(**settings))
        provider.create(identity, [NodeRequest(node) for node in nodes], made, made.record)
    except DtkError as error:
        made.errors |= dict.fromkeys(nodes, error)
    return made


def key_pair(cloud: Cloud) -> Any:
    (pair,) = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].key_pairs.values()
    return pair


def test_machines_that_another_clone_has_made_since_are_not_taken_for_ones_own(cloud: Cloud) -> None:
    one = create(cloud, "one", *NODES)
    assert one.records.keys() == set(NODES)
    public = key_pair(cloud).material_public
    two = create(cloud, "two", *NODES)
    assert two.records == {}
    assert two.errors.keys() == set(NODES)
    refused = two.errors["master"]
    assert "another clone is creating the machines of service 'spark1'" in refused.message
    assert one.records["master"].id in refused.message
    assert "dtk list-nodes --orphans --adopt" in refused.hint
    assert len(cloud.instances()) == 3
    assert key_pair(cloud).material_public == public, "the first clone could not log in any more"
    # The first clone's state continues. Instances that its earlier task created but could not record belong to it.
    assert create(cloud, "one", *NODES).records.keys() == set(NODES)
    assert len(cloud.instances()) == 3


def test_two_calls_at_once_make_one_set_of_machines(cloud: Cloud) -> None:
    cloud.client().create_key_pair(KeyName="team", KeyType="ed25519")
    one = create(cloud, "one", *NODES, key_pair="team", key="")
    # The second clone looks before it calls, but EC2 does not show the first clone's new instances yet.
    cloud.api.blind = 4
    two = create(cloud, "two", *NODES, key_pair="team", key="")
    assert {node.id for node in cloud.instances()} == {record.id for record in one.records.values()}
    assert two.records == {}
    assert "another clone is creating the machines" in two.errors["slaves:2"].message
    first, second = ({call["ClientToken"] for call in calls} for calls in _calls_by_clone(cloud))
    assert first == second, "the token is the service's and the nodes', not the clone's"


def _calls_by_clone(cloud: Cloud) -> list[list[dict[str, str]]]:
    calls = cloud.api.called("RunInstances")
    mine = [call for call in calls if "state of one" in call.values()]
    return [mine, [call for call in calls if call not in mine]]


def test_a_key_pair_that_another_clone_has_just_made_stops_the_second_one(cloud: Cloud) -> None:
    cloud.api.capacity = dict.fromkeys(cloud.subnets, 0)
    assert "InsufficientInstanceCapacity" in str(create(cloud, "one", "master").errors["master"])
    cloud.api.capacity = {}
    refused = create(cloud, "two", "master").errors["master"]
    assert "another clone began to create the machines of service 'spark1'" in refused.message
    assert cloud.instances() == []
    # A job that has died does not block others forever.
    key_pair(cloud).create_time = utcnow() - timedelta(seconds=access.BEGINNING_SECONDS + 1)
    assert create(cloud, "two", "master").records.keys() == {"master"}


def test_a_file_without_an_id_that_meets_machines_of_its_name_says_which_line_decides(
    cloud: Cloud, service: Reports, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service file without an ID, in a clone without a state: only the user knows whose the instances are."""
    file, lineage = cloud.workspace.service_file("spark1"), cloud.identity().lineage
    before = re.sub(r"(?m)^id: .*\n", "", file.read_text())
    for words in (["apply", "spark1", "--yes"], ["stop", "spark1"], ["delete-and-destroy", "spark1", "--yes"]):
        shutil.rmtree(cloud.workspace.local, ignore_errors=True)
        file.write_text(before)
        capsys.readouterr()
        assert run(words) == 5, words
        refused = capsys.readouterr().err
        assert "3 machines of service 'spark1' exist that this folder does not know" in refused
        assert "services/spark1/service.yaml has no id" in refused
        assert f"add the line 'id: {lineage}' to it" in refused
        assert file.read_text() == before
    assert len(cloud.instances()) == 3
    # Do what the message says. The instances then belong to this service, in every clone.
    file.write_text(before + f"id: {lineage}\n")
    assert run(["list-nodes", "--orphans", "--adopt"]) == 0
    assert run(["delete-and-destroy", "spark1", "--yes"]) == 0
    assert cloud.instances() == []
