"""bigtop:spark on instances that boot, each daemon a systemd unit: one test, whose steps build on each other.

After each step EC2 has exactly the instances that the state knows, and the expected number of them. HDFS keeps the
slaves' data on volumes that outlive the instances, and a slave is replaced; in the long form the master has a volume as
well, and every machine is replaced.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from functools import partial

import pytest

from tests.reliability.forms import IS_LONG
from tests.support.software import software_without_java
from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.site import SERVICE, Site, site_in

DATA = "/srv/gitarchive"
HOURS = {f"2015-03-01-{hour}.json.gz": gzip.compress(b'{"type": "PushEvent"}\n' * 1000 * hour) for hour in (1, 2, 3)}
LOADED = "/user/local/spark/data/gitarchive/mar01"
VOLUME = '[{"name": "data", "size": 1, "keep": true}]'
REPLACED = ("slaves", "master") if IS_LONG else ("slaves:1",)
DAEMONS = {"master": ["namenode", "spark-master"], "slaves": ["datanode", "spark-worker"]}


@pytest.fixture(scope="module")
def cluster(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Create a workspace whose instances boot an image with Spark, HDFS and Java, and with files to load."""
    folder = tmp_path_factory.mktemp("flagship")
    (folder / "data").mkdir()
    for name, content in HOURS.items():
        (folder / "data" / name).write_bytes(content)
    software = software_without_java()
    # Mount the parent folder: the software contains links to what is beside it.
    image = bed.add_image("spark", {str(software.parent): software.parent, DATA: folder / "data"})
    zones = {"subnet": bed.subnets, "spread": "availability_zone"}
    with site_in(folder / "workspace", bed, image, **zones) as made:
        directory = f"bigtop_multiservice/software_directory={software}"
        made.dtk.run("stage", "bigtop:spark/cluster", SERVICE, "--set", directory)
        for node in DAEMONS if IS_LONG else ("slaves",):
            made.dtk.run("add-component", SERVICE, f"{node}/volume::mount")
            made.dtk.run("set-attribute", SERVICE, f"{node}/volumes", VOLUME)
            made.dtk.run("set-attribute", SERVICE, f"{node}/volume::mount/path", "bigtop/data")
        yield made


def nodes(site: Site) -> dict[str, dict[str, str]]:
    """Return each node's addresses."""
    return {node["node"]: node["attributes"] for node in site.dtk.json("list-nodes", SERVICE)}


def units(site: Site, node: str) -> list[str]:
    """Return the enabled daemon units of a node that run, each with its user; [] while the node boots."""
    desired = "ls /etc/systemd/system/multi-user.target.wants | grep ^dtk-"
    output = "systemctl is-active --quiet $unit && echo $unit of $(systemctl show -p User --value $unit) runs"
    command = f"for unit in $({desired}); do {output}; done"
    return site.shell(node, command).splitlines()


def has_units(site: Site, node: str, expected: list[str]) -> bool:
    return units(site, node) == expected


def check_units(site: Site) -> None:
    """Wait until each node runs exactly its daemons as enabled units; a node that has just booted needs a moment."""
    for node in nodes(site):
        expected = [f"dtk-{name}.service of admin runs" for name in DAEMONS[node.partition(":")[0]]]
        eventually(partial(has_units, site, node, expected), f"{node} has {expected}")


def is_healthy(site: Site, slaves: set[str]) -> bool:
    """Return whether the datanodes at all these addresses are live and HDFS has two replicas of each block."""
    report = site.shell("master", "bigtop/bin/hdfs dfsadmin -report -live").splitlines()
    live = {line.split()[1] for line in report if line.startswith("Hostname:")}
    checked = site.shell("master", "bigtop/bin/hdfs fsck / 2>/dev/null || true")
    whole = "The filesystem under path '/' is HEALTHY" in checked and "Under-replicated blocks:\t0 " in checked
    return whole and slaves <= live


def check_data(site: Site) -> None:
    """Wait until HDFS is healthy (a returning datanode needs a moment), and check that the loaded data is intact."""
    slaves = {attributes["host_address"] for node, attributes in nodes(site).items() if node != "master"}
    eventually(lambda: is_healthy(site, slaves), "HDFS is healthy")
    whole = hashlib.md5(b"".join(HOURS.values())).hexdigest()
    assert site.on("master", f"bigtop/bin/hdfs dfs -cat '{LOADED}/*' | md5sum").split()[0] == whole


def joined(site: Site, node: str) -> list[int]:
    """Return how often a slave's datanode and worker registered, from their logs; [] while it boots."""
    command = "cd daemon/run && grep -h -c -i 'successfully registered with' datanode.log spark-worker.log"
    return [int(word) for word in site.shell(node, command).split()]


def racks(site: Site) -> dict[str, str]:
    """Return the rack of each datanode, by its address, as HDFS sees it."""
    lines = site.shell("master", "bigtop/bin/hdfs dfsadmin -printTopology").splitlines()
    found, rack = {}, ""
    for line in map(str.strip, lines):
        if line.startswith("Rack: "):
            rack = line.removeprefix("Rack: ")
        elif line:
            found[line.partition(":")[0]] = rack
    return found


def zones(site: Site) -> dict[str, str]:
    """Return the rack that each slave is to have, by its address: its availability zone."""
    slaves = [attributes for node, attributes in nodes(site).items() if node != "master"]
    return {attributes["host_address"]: f"/{attributes['availability_zone']}" for attributes in slaves}


def the_cluster_comes_up_on_three_instances_as_systemd_units(cluster: Site) -> None:
    shown = cluster.dtk.run("apply", SERVICE, "--yes").stdout
    assert "STAGE 1: create_nodes_stage" in shown
    cluster.check_count(3)
    check_units(cluster)
    assert len(set(zones(cluster).values())) == 2
    assert racks(cluster) == zones(cluster)
    assert "Nothing to do" in cluster.dtk.run("plan", SERVICE).stdout


def a_data_set_is_loaded_by_its_workflow_and_a_job_counts_on_both_workers(cluster: Site) -> None:
    cluster.dtk.run("add-component", SERVICE, "master/datasets:gitarchive[mar01]")
    for name, value in {"month": "03", "day": "01", "hours": "1-3", "source": f"file://{DATA}"}.items():
        cluster.dtk.run("set-attribute", SERVICE, f"master/gitarchive[mar01]/{name}", value)
    assert "Loaded 3 files" in cluster.dtk.run("exec", SERVICE, "load_gitarchive_dataset", "name=mar01").stdout
    assert "with 2 workers" in cluster.dtk.run("exec", SERVICE, "smoke_test").stdout
    cluster.check_count(3)
    check_data(cluster)


def four_slaves_and_two_again_keep_hdfs_healthy_and_the_data_whole(cluster: Site) -> None:
    for slaves in (4, 2):
        cluster.dtk.run("set-attribute", SERVICE, "slaves/cardinality", str(slaves))
        cluster.dtk.run("apply", SERVICE, "--yes")
        cluster.check_count(slaves + 1)
        check_data(cluster)
        assert zones(cluster).items() <= racks(cluster).items()
    check_units(cluster)


def replaced_machines_have_their_data_again(cluster: Site) -> None:
    marked = [node for node in nodes(cluster) if node.startswith(REPLACED)]
    for node in marked:
        cluster.on(node, f"echo {node} >bigtop/data/of")
    for name in REPLACED:
        before = cluster.ids()
        cluster.dtk.run("replace", SERVICE, name, "--yes")
        cluster.check_count(3)
        after = cluster.ids()
        assert {node for node in before if before[node] != after[node]} == {node for node in before if name in node}
        check_data(cluster)
        assert zones(cluster).items() <= racks(cluster).items()
    assert [cluster.on(node, "cat bigtop/data/of") for node in marked] == marked
    check_units(cluster)


def a_slave_that_reboots_has_its_daemons_back_by_itself(cluster: Site) -> None:
    before = joined(cluster, "slaves:1")
    cluster.host("slaves:1").reboot()
    eventually(
        lambda: [now > then for now, then in zip(joined(cluster, "slaves:1"), before, strict=False)] == [True, True],
        "its datanode and its worker are let in again",
    )
    assert cluster.on("slaves:1", "hostname -I").split()[0] == nodes(cluster)["slaves:1"]["host_address"]
    check_units(cluster)
    cluster.check_count(3)
    check_data(cluster)


def stopped_and_started_its_daemons_are_back_by_themselves_at_new_addresses(cluster: Site) -> None:
    before = nodes(cluster)
    cluster.dtk.run("stop", SERVICE)
    cluster.check_count(3)
    assert {one.state for one in cluster.bed.instances().values()} == {"stopped"}
    cluster.dtk.run("start", SERVICE)
    cluster.check_count(3)
    after = nodes(cluster)
    assert not {a["public_address"] for a in before.values()} & {a["public_address"] for a in after.values()}
    check_units(cluster)
    # Spark and HDFS use private addresses, which instances keep when stopped; test_life covers links to public ones.
    assert "Nothing had to be changed." in cluster.dtk.run("converge", SERVICE, "--yes").stdout
    assert "with 2 workers" in cluster.dtk.run("exec", SERVICE, "smoke_test").stdout
    check_data(cluster)


def destroyed_it_leaves_nothing(cluster: Site) -> None:
    cluster.dtk.run("delete-and-destroy", SERVICE, "--yes", "--delete-volumes")
    cluster.check_nothing_left()


def test_a_cluster_on_instances_lives_from_its_deployment_to_its_end(cluster: Site) -> None:
    """Run the steps in order; each continues from the previous one, and its name says what it checks."""
    the_cluster_comes_up_on_three_instances_as_systemd_units(cluster)
    a_data_set_is_loaded_by_its_workflow_and_a_job_counts_on_both_workers(cluster)
    four_slaves_and_two_again_keep_hdfs_healthy_and_the_data_whole(cluster)
    replaced_machines_have_their_data_again(cluster)
    a_slave_that_reboots_has_its_daemons_back_by_itself(cluster)
    stopped_and_started_its_daemons_are_back_by_themselves_at_new_addresses(cluster)
    destroyed_it_leaves_nothing(cluster)
