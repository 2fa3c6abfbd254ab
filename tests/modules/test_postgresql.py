"""dtk:postgresql on machines with root and systemd that boot here: replication, a rolling restart, promotion."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from testbed.bed import Bed, skip_where_missing

from tests.end_to_end.conftest import Dtk

SERVICE = "db1"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "REPLICATION_PASSWORD": "it's a \\secret: 'quoted'",
}

pytestmark = pytest.mark.xdist_group("testbed")


@pytest.fixture(scope="module")
def dtk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dtk]:
    skip_where_missing()
    bed = Bed()
    bed.start()
    try:
        made = Dtk(tmp_path_factory.mktemp("postgresql"))
        made.run("init")
        (made.root / "dtk.yaml").write_text(json.dumps({"format_version": 1, "targets": {"bed": bed.target()}}))
        yield made
        if (made.root / "services" / SERVICE).exists():
            made.run("delete-and-destroy", SERVICE, "--yes", "--force", "--lock-wait", "60s", **ENVIRONMENT)
    finally:
        bed.close()


def answers(dtk: Dtk, node: str, query: str) -> str:
    command = f'sudo runuser -u postgres -- psql -At -c "{query}"'
    return dtk.run("ssh", SERVICE, node, "--", f"cd / && {command}", **ENVIRONMENT).stdout.strip()


def changed_by_create(dtk: Dtk, task: int) -> list[str]:
    done = [event for event in dtk.events(SERVICE, task) if event["type"] == "operation.finished"]
    return [event["message"] for event in done if event["action"] == "create" and event["changed"]]


def everything_written(root: Path) -> str:
    folder = root / ".dtk" / "services" / SERVICE
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def test_replicas_have_what_was_written_on_the_primary(dtk: Dtk) -> None:
    password = "postgresql::cluster/replication_password=env:REPLICATION_PASSWORD"
    dtk.run("stage", "dtk:postgresql/replicated", SERVICE, "--target", "bed", "--set", password)
    shown = dtk.run("apply", SERVICE, "--yes", **ENVIRONMENT).stdout
    assert shown.count("read it on") == 2
    assert answers(dtk, "replicas:2", "SELECT pg_is_in_recovery()") == "t"
    assert ENVIRONMENT["REPLICATION_PASSWORD"] not in shown + everything_written(dtk.root)


def test_a_second_converge_of_servers_changes_nothing(dtk: Dtk) -> None:
    assert "Nothing had to be changed." in dtk.run("converge", SERVICE, "--yes", **ENVIRONMENT).stdout
    assert changed_by_create(dtk, 2) == []


def test_a_rolling_restart_takes_one_replica_at_a_time(dtk: Dtk) -> None:
    dtk.run("exec", SERVICE, "rolling_restart", **ENVIRONMENT)
    steps = [event for event in dtk.events(SERVICE, 3) if event["type"] in ("step.started", "step.finished")]
    replicas = [(event["type"], event["node"]) for event in steps if str(event["node"]).startswith("replicas:")]
    assert [kind for kind, _ in replicas] == ["step.started", "step.finished"] * 2
    assert {node for _, node in replicas} == {"replicas:1", "replicas:2"}


def test_a_promoted_replica_takes_what_is_written(dtk: Dtk) -> None:
    dtk.run("exec", SERVICE, "promote", "member=replicas:2", **ENVIRONMENT)
    assert answers(dtk, "replicas:2", "SELECT pg_is_in_recovery()") == "f"
    assert answers(dtk, "replicas:1", "SELECT pg_is_in_recovery()") == "t"
    assert answers(dtk, "replicas:2", "CREATE TABLE promoted ()") == "CREATE TABLE"
