"""dtk:postgresql on machines with root and systemd that boot here: replication, a rolling restart, a lost primary.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.command_line import BedDtk, bed_workspace

SERVICE = "db1"
ENVIRONMENT: dict[str, Any] = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "REPLICATION_PASSWORD": "it's a \\secret: 'quoted'",
}


@pytest.fixture(scope="module")
def dtk(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> BedDtk:
    return bed_workspace(tmp_path_factory.mktemp("postgresql"), bed)


def as_postgres(query: str) -> str:
    return f'cd / && sudo runuser -u postgres -- psql -At -c "{query}"'


def answers(dtk: BedDtk, node: str, query: str) -> str:
    return dtk.run("ssh", SERVICE, node, "--", as_postgres(query), **ENVIRONMENT).stdout.strip()


def changed_by_create(dtk: BedDtk, task: int) -> list[str]:
    done = [event for event in dtk.events(SERVICE, task) if event["type"] == "operation.finished"]
    return [event["message"] for event in done if event["action"] == "create" and event["changed"]]


def written(dtk: BedDtk, node: str, word: str) -> None:
    made = "CREATE TABLE IF NOT EXISTS words (word text)"
    assert answers(dtk, node, f"{made}; INSERT INTO words VALUES ('{word}')").endswith("INSERT 0 1")


def arrives(dtk: BedDtk, node: str, *words: str) -> None:
    """Wait until a node has exactly these words."""
    command = as_postgres("SELECT string_agg(word, ' ' ORDER BY word) FROM words")
    eventually(lambda: dtk.on(SERVICE, node, command) == " ".join(sorted(words)), f"{words} are on {node}")


def restarted(dtk: BedDtk, node: str) -> tuple[str, str]:
    """Return when a server last shut down and when it was readable again, by its log, so that both use one clock."""
    log = dtk.run("ssh", SERVICE, node, "--", "sudo cat /var/log/postgresql/*.log", **ENVIRONMENT).stdout.splitlines()
    down = [line[:23] for line in log if "received fast shutdown request" in line]
    up = [line[:23] for line in log if "ready to accept read-only connections" in line]
    return down[-1], up[-1]


def everything_written(root: Path) -> str:
    folder = root / ".dtk" / "services" / SERVICE
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def replicas_have_what_was_written_on_the_primary(dtk: BedDtk) -> None:
    password = "postgresql::cluster/replication_password=env:REPLICATION_PASSWORD"
    dtk.run("stage", "dtk:postgresql/replicated", SERVICE, "--target", "bed", "--set", password)
    shown = dtk.run("apply", SERVICE, "--yes", **ENVIRONMENT).stdout
    assert shown.count("read it on") == 2
    assert answers(dtk, "replicas:2", "SELECT pg_is_in_recovery()") == "t"
    assert ENVIRONMENT["REPLICATION_PASSWORD"] not in shown + everything_written(dtk.root)


def a_second_converge_of_servers_changes_nothing(dtk: BedDtk) -> None:
    assert "Nothing had to be changed." in dtk.run("converge", SERVICE, "--yes", **ENVIRONMENT).stdout
    assert changed_by_create(dtk, 2) == []


def a_rolling_restart_takes_one_replica_at_a_time_and_all_follow_the_primary_after_it(dtk: BedDtk) -> None:
    dtk.run("exec", SERVICE, "rolling_restart", **ENVIRONMENT)
    steps = [event for event in dtk.events(SERVICE, 3) if event["type"] in ("step.started", "step.finished")]
    replicas = [(event["type"], event["node"]) for event in steps if str(event["node"]).startswith("replicas:")]
    assert [kind for kind, _ in replicas] == ["step.started", "step.finished"] * 2
    assert {node for _, node in replicas} == {"replicas:1", "replicas:2"}
    (down, up), (later_down, later_up) = sorted(restarted(dtk, node) for node in ("replicas:1", "replicas:2"))
    assert down < up < later_down < later_up

    written(dtk, "master", "restarted")
    for node in ("replicas:1", "replicas:2"):
        arrives(dtk, node, "restarted")


def no_replica_is_promoted_while_the_primary_answers(dtk: BedDtk) -> None:
    refused = dtk.run("exec", SERVICE, "promote", "member=replicas:2", code=1, **ENVIRONMENT).stdout
    assert f"{dtk.addresses(SERVICE)['master']} is a primary still, and answers: stop it first" in refused
    assert answers(dtk, "replicas:2", "SELECT pg_is_in_recovery()") == "t"


def when_the_primary_is_lost_a_replica_takes_over_and_the_other_follows_it(bed: Bed, dtk: BedDtk) -> None:
    dtk.host(SERVICE, "master").cut_power()
    shown = dtk.run("exec", SERVICE, "promote", "member=replicas:2", **ENVIRONMENT).stdout
    assert f"follows {dtk.addresses(SERVICE)['replicas:2']}" in shown
    written(dtk, "replicas:2", "promoted")
    arrives(dtk, "replicas:1", "restarted", "promoted")


def a_lost_primary_that_is_back_says_what_to_do_and_nothing_is_written_over(bed: Bed, dtk: BedDtk) -> None:
    lost = dtk.host(SERVICE, "master")
    lost.power_on(lost.addresses)
    output = dtk.run("converge", SERVICE, "--yes", code=1, **ENVIRONMENT).stdout
    assert (
        f"{dtk.addresses(SERVICE)['replicas:2']} is the primary: it was promoted while this server was lost" in output
    )
    assert "dtk exec SERVICE take_back" in output
    again = dtk.run("exec", SERVICE, "replicas:2/postgresql::replica.create", code=1, **ENVIRONMENT).stdout
    assert "this server has data of its own" in again
    arrives(dtk, "replicas:2", "restarted", "promoted")


def taken_back_the_primary_has_everything_and_a_converge_changes_nothing(dtk: BedDtk) -> None:
    written(dtk, "master", "lost")  # this write exists only on the old primary, not in the new primary's history
    shown = dtk.run("exec", SERVICE, "take_back", **ENVIRONMENT).stdout
    assert shown.count("read it on") == 2
    written(dtk, "master", "back")
    for node in ("master", "replicas:1", "replicas:2"):
        arrives(dtk, node, "restarted", "promoted", "back")
    assert "Nothing had to be changed." in dtk.run("converge", SERVICE, "--yes", **ENVIRONMENT).stdout


def a_primary_whose_machine_is_gone_is_made_anew_from_the_promoted_replica(bed: Bed, dtk: BedDtk) -> None:
    gone = next(row["id"] for row in dtk.json("list-nodes", SERVICE) if row["node"] == "master")
    bed.client().terminate_instances(InstanceIds=[gone])
    assert f"{gone} is gone" in dtk.run("plan", SERVICE, "--refresh", **ENVIRONMENT).stdout
    output = dtk.run("apply", SERVICE, "--refresh", "--yes", code=1, **ENVIRONMENT).stdout
    assert "has the data of a primary that was lost, and this server has none" in output

    dtk.run("exec", SERVICE, "promote", "member=replicas:1", **ENVIRONMENT)
    assert dtk.run("exec", SERVICE, "take_back", **ENVIRONMENT).stdout.count("read it on") == 2
    written(dtk, "master", "anew")
    for node in ("master", "replicas:1", "replicas:2"):
        arrives(dtk, node, "restarted", "promoted", "back", "anew")
    dtk.run("converge", SERVICE, "--yes", **ENVIRONMENT)
    assert "Nothing had to be changed." in dtk.run("converge", SERVICE, "--yes", **ENVIRONMENT).stdout


def destroyed_it_leaves_no_instance(bed: Bed, dtk: BedDtk) -> None:
    dtk.run("delete-and-destroy", SERVICE, "--yes", **ENVIRONMENT)
    assert bed.instances() == {}


def test_replicated_servers_live_from_their_deployment_through_a_lost_primary_to_their_end(
    bed: Bed, dtk: BedDtk
) -> None:
    """Run the steps in order; each continues from the previous one, and its name says what it checks."""
    replicas_have_what_was_written_on_the_primary(dtk)
    a_second_converge_of_servers_changes_nothing(dtk)
    a_rolling_restart_takes_one_replica_at_a_time_and_all_follow_the_primary_after_it(dtk)
    no_replica_is_promoted_while_the_primary_answers(dtk)
    when_the_primary_is_lost_a_replica_takes_over_and_the_other_follows_it(bed, dtk)
    a_lost_primary_that_is_back_says_what_to_do_and_nothing_is_written_over(bed, dtk)
    taken_back_the_primary_has_everything_and_a_converge_changes_nothing(dtk)
    a_primary_whose_machine_is_gone_is_made_anew_from_the_promoted_replica(bed, dtk)
    destroyed_it_leaves_no_instance(bed, dtk)
