"""Tests of ``dtk adopt``: a node gets a machine that dtk did not create, and dtk never terminates it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dtk.__main__ import run
from dtk.state.store import load_state, save_state
from dtk.state.writer import StateStore
from tests.ec2.balanced import BALANCED, Balanced, apply, changing, shown
from tests.ec2.cloud import Cloud


def launch(cloud: Cloud, **more: Any) -> str:
    """Launch an instance as somebody else did, with a name and a tag of theirs; return its id."""
    tags = [{"Key": "Name", "Value": "billing"}, {"Key": "team", "Value": "sales"}]
    given = {
        "ImageId": cloud.image,
        "InstanceType": "t3.small",
        "SubnetId": cloud.subnets[0],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        **more,
    }
    made = cloud.client().run_instances(MinCount=1, MaxCount=1, **given)["Instances"][0]["InstanceId"]
    cloud.api._moving.clear()
    return str(made)


def tags_of(cloud: Cloud, id_: str) -> dict[str, str]:
    (found,) = cloud.client().describe_instances(InstanceIds=[id_])["Reservations"][0]["Instances"]
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}


def state_text(cloud: Cloud) -> str:
    return cloud.workspace.state_file("spark1").read_text()


@pytest.fixture
def service(service_on_ssh: Balanced) -> Balanced:
    """Return a service that wants a third member of ``web``; its component can be deleted."""
    file = service_on_ssh.cloud.workspace.modules / "acme" / "bare" / "dtk.module.yaml"
    delete = f"      delete: {{commands: [RUN echo deleted >> {service_on_ssh.log}]}}\nassemblies:"
    file.write_text(file.read_text().replace("assemblies:", delete))
    assert run(["set-attribute", "spark1", "web/cardinality", "3"]) == 0
    return service_on_ssh


def adopt(node: str, id_: str) -> int:
    return run(["adopt", "spark1", node, id_])


def refusal(capsys: pytest.CaptureFixture[str], code: int, node: str, id_: str) -> str:
    """Return the message of a refused adoption."""
    capsys.readouterr()
    assert adopt(node, id_) == code
    return " ".join(capsys.readouterr().err.split())


def test_an_interrupted_adoption_is_finished_and_its_machine_is_converged_and_released(
    service: Balanced, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud = service.cloud
    id_ = launch(cloud)
    before = tags_of(cloud, id_)
    cloud.api.calls.clear()

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StateStore, "change", dies)
        assert adopt("web:3", id_) == 130
    assert tags_of(cloud, id_)["dtk:adopted"] == "true"
    assert "web:3" not in state_text(cloud)
    capsys.readouterr()
    assert apply() == 1
    told = " ".join(capsys.readouterr().out.split())
    assert f"the adoption of instance {id_} as web:3 is not finished" in told
    assert f"dtk adopt spark1 web:3 {id_}" in told
    assert adopt("web:3", id_) == 0
    assert f"{id_} is web:3 of 'spark1' now" in capsys.readouterr().out
    assert changing(cloud) == ["CreateTags", "CreateTags"], "no second machine is created"
    assert before.items() <= tags_of(cloud, id_).items(), "its name and the tags of others stay"
    assert service.state("web:3")["host_key"].startswith("ssh-")
    assert service.state("web:3")["host_address"] in cloud.workspace.known_hosts("spark1").read_text()
    assert adopt("web:3", id_) == 0
    assert f"{id_} is web:3 of 'spark1' already" in capsys.readouterr().out
    assert apply() == 0
    assert changing(cloud) == ["CreateTags", "CreateTags"], "no machine is created"
    assert service.log.read_text().split() == ["1", "1", "1"]
    assert "running, adopted" in shown(capsys, "list-nodes", "spark1")
    cloud.workspace.state_file("spark1").unlink()
    assert run(["state", "rebuild", "spark1", "--yes"]) == 0
    assert json.loads(shown(capsys, "info", "spark1", "web:3", "--json"))["adopted"] is True
    assert "Nothing to do" in shown(capsys, "plan", "spark1")
    assert run(["set-attribute", "spark1", "web/cardinality", "2"]) == 0
    plan_text = shown(capsys, "plan", "spark1")
    assert "- release web:3  (web/cardinality 3 → 2)" in plan_text
    assert "release_node" in plan_text
    assert "terminate" not in plan_text
    cloud.api.calls.clear()
    assert apply() == 0
    assert service.log.read_text().split()[3:] == ["deleted"]
    assert changing(cloud) == ["DeleteTags"]
    assert tags_of(cloud, id_) == before
    assert id_ not in state_text(cloud)
    assert [one.state for one in cloud.instances() if one.id == id_] == ["running"]


def test_no_clone_and_no_destroy_terminates_an_adopted_machine(
    service: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = service.cloud
    id_, file = launch(cloud, InstanceType="m5.large"), cloud.workspace.state_file("spark1")
    before = load_state(file)
    assert before is not None
    for command, said in (("--terminate", "\n1 released."), ("--adopt", f"adopted {id_} as web:3 of 'spark1'")):
        assert adopt("web:3", id_) == 0
        # As the state of a clone is that has not adopted it.
        save_state(file, before)
        (row,) = json.loads(shown(capsys, "list-nodes", "--orphans", "--json"))
        assert (row["instance_id"], row["op_status"], row["adopted"]) == (id_, "running", True)
        assert said in shown(capsys, "list-nodes", "--orphans", command, "--yes")
        tags = tags_of(cloud, id_)
        assert ("dtk:adopted" in tags) == (command == "--adopt")
        assert (tags["Name"], tags["team"]) == ("billing", "sales")
    assert service.state("web:3")["adopted"] is True
    plan = shown(capsys, "plan", "spark1")
    assert "~ resize web:3  (m5.large → t3.small: stop, modify, start)" in plan
    assert "Machines that differ" not in plan
    assert run(["set-attribute", "spark1", "web/instance_type", "[t3.small, m5.large]"]) == 0
    assert "resize" not in shown(capsys, "plan", "spark1")
    replaced = shown(capsys, "plan", "spark1", "--replace", "web:3")
    assert "-/+ replace web:3" in replaced
    assert f"(releases {id_}, which dtk did not create)" in replaced
    assert replaced.index("release_node web:3") < replaced.index("create_node web:3")
    assert "terminate_node" not in replaced
    assert "- release web:3  (the service is destroyed)" in shown(capsys, "delete-and-destroy", "spark1")
    cloud.api.calls.clear()
    assert run(["delete-and-destroy", "spark1", "--yes"]) == 0
    assert {"TerminateInstances", "DeleteTags"} <= set(changing(cloud))
    assert [(one.id, one.state) for one in cloud.instances()] == [(id_, "running")]
    assert tags_of(cloud, id_) == {"Name": "billing", "team": "sales"}
    assert not cloud.workspace.service_file("spark1").exists()


def test_what_can_not_be_adopted_is_refused_and_left_as_it_is(
    service: Balanced, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud = service.cloud
    client, known = cloud.client(), service.made.records["web:1"].id
    stopped, gone, others, free = (launch(cloud) for _ in range(4))
    client.stop_instances(InstanceIds=[stopped])
    client.terminate_instances(InstanceIds=[gone])
    mark = {"dtk:service": "hadoop", "dtk:lineage": "aaaa", "dtk:nodes": "slaves:1-4", "dtk:workspace": "bbbb"}
    client.create_tags(Resources=[others], Tags=[{"Key": key, "Value": value} for key, value in mark.items()])
    cloud.api._moving.clear()
    cloud.api.calls.clear()
    before, absent = state_text(cloud), "i-0123456789abcdef0"
    owned = refusal(capsys, 5, "web:3", others)
    assert f"instance {others} is slaves:1 of service 'hadoop' (service id aaaa, workspace id bbbb)" in owned
    assert f"there is no instance {absent} in region us-east-1" in refusal(capsys, 1, "web:3", absent)
    assert "there is no instance web in region us-east-1" in refusal(capsys, 1, "web:3", "web")
    assert f"instance {stopped} is stopped" in refusal(capsys, 1, "web:3", stopped)
    assert f"instance {gone} is terminated" in refusal(capsys, 1, "web:3", gone)
    assert f"web:1 of 'spark1' has machine {known} already" in refusal(capsys, 1, "web:1", free)
    assert f"{known} is web:1 of 'spark1' already" in refusal(capsys, 1, "web:3", known)
    assert "there is no node 'web:4' in service 'spark1'" in refusal(capsys, 2, "web:4", free)
    settings = cloud.workspace.file.read_text()
    cloud.workspace.file.write_text(settings.replace("user: tester", "user: nobody-here"))
    told = refusal(capsys, 1, "web:3", free)
    assert f"{free} was not adopted:" in told
    assert "refuses nobody-here with the key" in told
    assert "set the target's user and key in dtk.yaml; then repeat this command" in told
    assert changing(cloud) == []
    assert (state_text(cloud), cloud.workspace.known_hosts("spark1").exists()) == (before, False)
    cloud.workspace.file.write_text(settings)
    assert adopt("web:3", free) == 0


def test_targets_of_other_types_say_why_they_adopt_nothing(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(cloud.workspace.root)
    rack = "  rack:\n    type: hosts\n    hosts: {one: {address: 192.0.2.1}}\n"
    cloud.workspace.file.write_text(f"format_version: 1\ntargets:\n{rack}")
    module = cloud.workspace.modules / "acme" / "bare"
    module.mkdir(parents=True)
    (module / "dtk.module.yaml").write_text(BALANCED.replace("{{log}}", "log"))
    for name, target in (("racked", "rack"), ("here", "local")):
        assert run(["stage", "acme:bare/cluster", name, "--target", target]) == 0
    capsys.readouterr()
    assert run(["adopt", "racked", "edge", "i-0123456789abcdef0"]) == 1
    assert "machines of a hosts target are listed in dtk.yaml" in " ".join(capsys.readouterr().err.split())
    assert run(["adopt", "here", "edge", "i-0123456789abcdef0"]) == 1
    assert "nodes of a local target are processes that dtk starts here" in " ".join(capsys.readouterr().err.split())
    assert run(["import", "i-0123456789abcdef0"]) == 2
    assert "dtk adopt SERVICE NODE INSTANCE_ID" in " ".join(capsys.readouterr().err.split())
