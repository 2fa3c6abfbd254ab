"""The life of a cluster on instances that boot: deployed, shrunk, stopped, started, destroyed; counted at each step."""

from __future__ import annotations

from tests.testbed.site import SERVICE, Site


def addresses(site: Site, kind: str) -> dict[str, str]:
    return {node["node"]: node["attributes"][kind] for node in site.dtk.json("list-nodes", SERVICE)}


def members_of(values: dict[str, str]) -> list[str]:
    return [value for node, value in values.items() if node != "master"]


def test_a_cluster_of_instances_lives_from_deploy_to_destroy(site: Site) -> None:
    dtk = site.dtk
    shown = dtk.run("deploy", "acme:site/cluster", SERVICE).stdout
    assert "STAGE 1: create_nodes_stage" in shown
    site.check_count(3)
    assert site.on("slaves:1", "systemctl is-active web; cat /srv/web/index.html; command -v tree").split("\n") == [
        "active",
        "hello from slaves:1",
        "/usr/bin/tree",
    ]
    assert "Nothing to do" in dtk.run("plan", SERVICE).stdout
    table = dtk.run("list-nodes", SERVICE).stdout
    assert "| DNS NAME" in table
    assert "debian-12" in table
    assert "ec2-" in table

    dtk.run("exec", SERVICE, "publish", "word=news")
    assert site.on("slaves:2", "cat /srv/web/word") == "news of slaves:2"

    assert site.on("master", "cat members").split() == members_of(addresses(site, "host_address"))
    dtk.run("set-attribute", SERVICE, "slaves/cardinality", "1")
    scaled = dtk.run("apply", SERVICE, "--yes").stdout
    assert "delete site::web" in scaled
    site.check_count(2)
    assert site.on("master", "cat members").split() == members_of(addresses(site, "host_address"))

    before = addresses(site, "public_address")
    dtk.run("stop", SERVICE)
    assert {node["status"] for node in dtk.json("list-nodes", SERVICE)} == {"stopped"}
    assert {one.state for one in site.bed.instances().values()} == {"stopped"}
    dtk.run("start", SERVICE)
    site.check_count(2)
    after = addresses(site, "public_address")
    assert before.keys() == after.keys()
    assert not set(before.values()) & set(after.values())
    plan = dtk.run("plan", SERVICE, "--detailed-exitcode", code=10).stdout
    assert f"master/site::roll/outside removed [{before['slaves:1']}" in plan
    dtk.run("apply", SERVICE, "--yes")
    assert site.on("master", "cat outside").split() == members_of(after)
    assert site.on("slaves:1", "systemctl is-active web") == "active"

    dtk.run("stop", SERVICE, "slaves")
    converged = dtk.run("converge", SERVICE).stdout
    assert "STAGE 1: power_on_node\n" in converged
    site.check_count(2)
    assert site.on("master", "cat outside").split() == members_of(addresses(site, "public_address"))

    document = dtk.json("info", SERVICE, "master")
    assert document["ec2_public_address"] == addresses(site, "public_address")["master"]
    assert {"node_id", "os_type", "admin_op_status", "image_id", "type", "size", "instance_id", "keypair"} <= set(
        document
    )

    dtk.run("delete-and-destroy", SERVICE, "--yes")
    site.check_nothing_left()
