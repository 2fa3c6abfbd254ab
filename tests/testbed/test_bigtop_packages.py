"""bigtop:spark from packages with the names, paths and init scripts of Apache Bigtop's, on hosts that boot Debian.

Bigtop's own packages are built for Ubuntu; these are stand-ins with HDFS and Spark from PyPI. One test with one
cluster:
the steps build on each other.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.software import software_without_java
from tests.testbed.bed import Bed
from tests.testbed.site import SERVICE, Site, site_in
from tests.testbed.stand_ins import STARTS, make_repository, served

DAEMONS = {
    "master": ["hadoop-hdfs-namenode", "spark-master"],
    "slaves:1": ["hadoop-hdfs-datanode", "spark-worker"],
}


@pytest.fixture(scope="module")
def cluster(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Stage a cluster of two hosts whose packages come from the stand-ins' repository."""
    folder = tmp_path_factory.mktemp("bigtop")
    software = software_without_java()
    image = bed.add_image("bigtop", {str(software.parent): software.parent})
    key = make_repository(folder, software)
    with (
        served(folder / "web", f"{bed.network.private}.1") as mirror,
        site_in(folder / "workspace", bed, image) as made,
    ):
        values = {"install": "bigtop", "bigtop_mirror": mirror, "bigtop_keys": f"{mirror}/KEYS", "bigtop_key": key}
        chosen = [f"bigtop_multiservice/{name}={value}" for name, value in values.items()]
        words = [word for value in [*chosen, "slaves/cardinality=1"] for word in ("--set", value)]
        made.dtk.run("stage", "bigtop:spark/cluster", SERVICE, *words)
        yield made


def running(site: Site, node: str) -> list[str]:
    """Return the services that run now and are enabled at boot."""
    names = DAEMONS[node]
    asked = " && ".join(f"systemctl is-active {name} && ls /etc/rc3.d | grep -x 'S[0-9]*{name}'" for name in names)
    return site.on(node, asked).split("\n")


def the_cluster_comes_up_from_packages_and_a_job_reads_and_writes_hdfs(cluster: Site) -> None:
    cluster.dtk.run("apply", SERVICE, "--yes")
    for node, names in DAEMONS.items():
        assert [line for line in running(cluster, node) if line == "active"] == ["active"] * len(names)
    shown = cluster.dtk.run("exec", SERVICE, "smoke_test").stdout
    assert "counted 12000 words in /tmp/spark-smoke-test with 1 workers" in shown


def no_daemon_was_started_before_it_was_configured(cluster: Site) -> None:
    namenode = cluster.dtk.addresses(SERVICE)["master"]
    for node, names in DAEMONS.items():
        assert cluster.on(node, f"cat {STARTS}").split("\n") == [f"{name} hdfs://{namenode}:8020" for name in names]
        assert cluster.on(node, "ls /usr/sbin/policy-rc.d || true") == ""


def a_second_converge_of_packages_changes_nothing(cluster: Site) -> None:
    assert "Nothing had to be changed." in cluster.dtk.run("converge", SERVICE, "--yes").stdout


def changed_settings_restart_the_daemons_that_read_them_and_no_others(cluster: Site) -> None:
    before = cluster.on("master", f"cat {STARTS}")
    cluster.dtk.run("set-attribute", SERVICE, "master/spark::master/master_ui_port", "8090")
    cluster.dtk.run("apply", SERVICE, "--yes")
    now = cluster.on("master", f"cat {STARTS}")
    assert now.removeprefix(before).split()[::2] == ["spark-master"]
    assert "200" in cluster.on(
        "master", "curl -s -o /dev/null -w '%{http_code}' http://$(hostname -I | cut -d' ' -f1):8090/"
    )
    assert "with 1 workers" in cluster.dtk.run("exec", SERVICE, "smoke_test").stdout


def the_history_server_is_added_from_its_package_and_knows_the_job(cluster: Site) -> None:
    cluster.dtk.run("add-component", SERVICE, "master/spark::history_server")
    cluster.dtk.run("apply", SERVICE, "--yes")
    shown = cluster.dtk.run("exec", SERVICE, "master/spark::history_server.smoke_test").stdout
    assert "2 jobs have ended, the last one: smoke test" in shown


def a_data_set_is_loaded_by_hdfs_own_user(cluster: Site) -> None:
    cluster.on("master", "mkdir -m 755 /tmp/data; echo '{}' | gzip > /tmp/data/2015-03-01-1.json.gz")
    cluster.dtk.run("add-component", SERVICE, "master/datasets:gitarchive[mar01]")
    for name, value in {"month": "03", "day": "01", "hours": "1", "source": "file:///tmp/data"}.items():
        cluster.dtk.run("set-attribute", SERVICE, f"master/gitarchive[mar01]/{name}", value)
    assert "Loaded 1 files" in cluster.dtk.run("exec", SERVICE, "load_gitarchive_dataset", "name=mar01").stdout


def destroyed_it_leaves_nothing(cluster: Site) -> None:
    cluster.dtk.run("delete-and-destroy", SERVICE, "--yes")
    cluster.check_nothing_left()


def test_a_cluster_of_packages_lives_from_its_deployment_to_its_end(cluster: Site) -> None:
    """Run the steps in order; each continues from the previous one, and its name says what it checks."""
    the_cluster_comes_up_from_packages_and_a_job_reads_and_writes_hdfs(cluster)
    no_daemon_was_started_before_it_was_configured(cluster)
    a_second_converge_of_packages_changes_nothing(cluster)
    changed_settings_restart_the_daemons_that_read_them_and_no_others(cluster)
    the_history_server_is_added_from_its_package_and_knows_the_job(cluster)
    a_data_set_is_loaded_by_hdfs_own_user(cluster)
    destroyed_it_leaves_nothing(cluster)
