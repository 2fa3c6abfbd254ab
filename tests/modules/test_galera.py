"""dtk:galera on machines that boot here: a cluster forms, its first member is replaced, and all members are stopped.

One test with one deployment: the steps build on each other. The short form has two members at a time, the long three.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.modules.changed import changed_by_create
from tests.reliability.forms import IS_LONG
from tests.testbed.bed import Bed
from tests.testbed.command_line import BedDtk, bed_workspace

SERVICE = "galera1"
MEMBERS = 3 if IS_LONG else 2
PASSWORD = "it's an \\app's: \"secret\" #1"
ENVIRONMENT: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "GALERA_PASSWORD": PASSWORD,
}


@pytest.fixture(scope="module")
def dtk(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> BedDtk:
    return bed_workspace(tmp_path_factory.mktemp("galera"), bed)


def asked(dtk: BedDtk, node: str, query: str) -> str:
    command = f'sudo mariadb -BN -e "{query}" app'
    return dtk.run("ssh", SERVICE, node, "--", command, **ENVIRONMENT).stdout.strip()


def all_are_one_cluster_with_the_data(dtk: BedDtk) -> None:
    nodes = list(dtk.addresses(SERVICE))
    size = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_cluster_size'"
    found = [asked(dtk, node, f"SELECT word, ({size}) FROM kept") for node in nodes]
    assert found == [f"since-the-beginning\t{MEMBERS}"] * MEMBERS


def a_user_reads_on_each_member_what_was_written_on_the_first(dtk: BedDtk) -> None:
    size = ("--set", f"db/cardinality={MEMBERS}")
    output = dtk.run("deploy", "dtk:galera/cluster", SERVICE, "--target", "bed", *size, **ENVIRONMENT).stdout
    assert output.count("  read on ") == MEMBERS
    files = [dtk.root / ".dtk/services" / SERVICE / path for path in dtk.files_left(SERVICE)]
    assert not [path for path in files if PASSWORD in path.read_text(errors="replace")]
    assert PASSWORD not in output


def a_second_converge_changes_nothing(dtk: BedDtk) -> None:
    dtk.run("converge", SERVICE, "--yes", **ENVIRONMENT)
    assert changed_by_create(dtk, SERVICE, 2) == []


def the_first_member_is_replaced_and_the_others_restart_one_by_one(dtk: BedDtk) -> None:
    asked(dtk, "db:1", "CREATE TABLE kept (word TEXT); INSERT INTO kept VALUES ('since-the-beginning')")
    dtk.run("delete-node", SERVICE, "db:1")
    dtk.run("set-attribute", SERVICE, "db/cardinality", str(MEMBERS))
    dtk.run("set-attribute", SERVICE, "db/galera::member/settings", "{max_connections: 77}")
    dtk.run("apply", SERVICE, "--yes", **ENVIRONMENT)
    assert sorted(dtk.addresses(SERVICE)) == [f"db:{number}" for number in range(2, MEMBERS + 2)]
    all_are_one_cluster_with_the_data(dtk)
    assert asked(dtk, "db:2", "SELECT @@max_connections") == "77"


def a_stopped_cluster_is_started_by_the_member_that_was_stopped_last(dtk: BedDtk) -> None:
    dtk.run("stop", SERVICE, **ENVIRONMENT)
    dtk.run("start", SERVICE, **ENVIRONMENT)
    assert "exec SERVICE recover" in dtk.run("exec", SERVICE, "check", code=1, **ENVIRONMENT).stdout
    assert dtk.run("exec", SERVICE, "recover", **ENVIRONMENT).stdout.count("created the cluster") == 1
    all_are_one_cluster_with_the_data(dtk)


def test_members_keep_the_data_when_the_first_is_replaced_and_when_all_are_stopped(bed: Bed, dtk: BedDtk) -> None:
    """Run the steps in order; each continues from the previous one, and its name says what it checks."""
    a_user_reads_on_each_member_what_was_written_on_the_first(dtk)
    a_second_converge_changes_nothing(dtk)
    the_first_member_is_replaced_and_the_others_restart_one_by_one(dtk)
    a_stopped_cluster_is_started_by_the_member_that_was_stopped_last(dtk)
    dtk.run("delete-and-destroy", SERVICE, "--yes", **ENVIRONMENT)
    assert bed.instances() == {}
