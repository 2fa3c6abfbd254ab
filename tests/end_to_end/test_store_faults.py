"""Real tasks with an S3 store that fails as S3 does: the task succeeds, or fails with an error and can be resumed."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dtk.model.store_settings import StoreSettings
from dtk.store.head import decode
from dtk.store.layout import ServiceKeys
from dtk.store.s3_objects import S3Objects
from dtk.store.segments import read_log
from tests.end_to_end.test_takeover import CLUSTER, MODULE
from tests.store.stores import S3Fault, S3Server, in_dtk_yaml, serve_s3
from tests.support.command_line import Dtk
from tests.support.processes import NAP, runs
from tests.support.shared_clones import LEASE, Team, found_team
from tests.support.waiting import eventually

KEYS = ServiceKeys("app1")
EVERY_FAULT = [
    S3Fault("PUT", "ConditionalRequestConflict", 409),
    S3Fault("PUT", lost=True),
    S3Fault("PUT", "PreconditionFailed", 412, done=True),
    S3Fault("PUT", "InternalError", 500),
    S3Fault("PUT", "SlowDown", 503),
    S3Fault("GET", lost=True),
    S3Fault("GET", "InternalError", 500),
]


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, StoreSettings]]:
    yield from serve_s3(monkeypatch)


@pytest.fixture
def team(tmp_path: Path, s3: tuple[S3Server, StoreSettings]) -> Iterator[Team]:
    team = found_team(tmp_path, MODULE, in_dtk_yaml(s3[1]))
    Dtk(team.origin).run("stage", CLUSTER, "app1")
    yield team
    s3[0].rare.clear()
    s3[0].outage = None
    team.clone("closer").run("delete-and-destroy", "app1", "--yes", "--force", "--lock-wait", "60s")


def test_a_task_goes_through_a_store_that_fails_all_the_time(
    team: Team,
    s3: tuple[S3Server, StoreSettings],
) -> None:
    server, settings = s3
    one, two = team.clone("one"), team.clone("two")
    server.rare += EVERY_FAULT
    one.run("apply", "app1", "--yes")
    assert server.met > len(EVERY_FAULT)
    server.rare.clear()
    objects = S3Objects(settings)
    found = objects.get(KEYS.head)
    assert found is not None
    head = decode(found.data, "head")
    assert (head.epoch, head.last_task, head.lease) == (1, 1, None)
    log, notes = read_log(objects, KEYS, 1)
    assert notes == ()
    assert log == (one.root / ".dtk/services/app1/tasks/1/events.jsonl").read_bytes()
    segments = [objects.get(key) for key in objects.list(KEYS.segments(1))]
    assert b"".join(one.data for one in segments if one) == log
    assert "Nothing to do" in two.run("plan", "app1").stdout


EARLY_END = r"credentials for the store expire in 5\dm \d+s; tasks like this took \d+h"


def test_credentials_and_logins_that_end_before_the_task_will_are_said_at_its_start(
    team: Team, s3: tuple[S3Server, StoreSettings], tmp_path: Path
) -> None:
    one = team.clone("one")
    one.run("apply", "app1", "--yes")
    start = "https://acme.awsapps.com/start"
    logins = tmp_path / "home/.aws/sso/cache"
    logins.mkdir(parents=True)
    (tmp_path / "home/.aws/config").write_text(
        f"[default]\nsso_start_url = {start}\nsso_region = us-east-1\nsso_account_id = 111122223333\n"
        "sso_role_name = dev\nregion = us-east-1\n"
    )

    def with_variables(left: timedelta) -> str:
        take_two_hours(one)
        end = (datetime.now(UTC) + left).isoformat(timespec="seconds")
        return one.run("converge", "app1", AWS_CREDENTIAL_EXPIRATION=end).stderr

    def with_login(login: timedelta, role: timedelta) -> str:
        take_two_hours(one)
        now = datetime.now(UTC)
        s3[0].role_end = now + role
        token = {"accessToken": "t", "expiresAt": (now + login).isoformat(timespec="seconds")}
        name = hashlib.sha1(start.encode()).hexdigest()
        (logins / f"{name}.json").write_text(json.dumps(token))
        return one.run(
            "converge",
            "app1",
            HOME=str(tmp_path / "home"),
            AWS_ENDPOINT_URL_SSO=s3[1].endpoint_url,
            AWS_ACCESS_KEY_ID="",
            AWS_SECRET_ACCESS_KEY="",
        ).stderr

    hour, days = timedelta(hours=1), timedelta(hours=40)
    assert re.search(EARLY_END, with_variables(hour))
    assert "credentials" not in with_variables(days)
    assert re.search(EARLY_END, with_login(hour, role=timedelta(minutes=20)))
    assert "credentials" not in with_login(hour, role=days), "what a login gave outlives it"


def take_two_hours(dtk: Dtk) -> None:
    """Rewrite the logs of app1's tasks, so that each of them took two hours."""
    for log in (dtk.root / ".dtk/services/app1/tasks").glob("*/events.jsonl"):
        events = [json.loads(line) for line in log.read_text().splitlines()]
        for event in events:
            if event["type"] == "stage.finished":
                event["seconds"] = 7200.0
        log.write_text("".join(f"{json.dumps(event)}\n" for event in events))


def test_expired_credentials_end_the_task_in_words_and_it_is_resumed(
    team: Team,
    s3: tuple[S3Server, StoreSettings],
) -> None:
    server, _ = s3
    Dtk(team.origin).run("set-attribute", "app1", "slaves/ring::member/work", f"sleep {NAP}")
    one, two = team.clone("one"), team.clone("two")
    one.run("apply", "app1", "--yes", "--detach")
    eventually(lambda: len(runs("sleep", NAP)) == 2, "the members work")
    server.outage = S3Fault("", "ExpiredToken", 403)
    log = one.root / ".dtk/services/app1/tasks/1"
    eventually(lambda: "credentials for the store have expired" in (log / "worker.log").read_text(), "it is said")
    assert runs("sleep", NAP), "what runs may finish"
    assert "have expired" in two.run("apply", "app1", "--yes", code=1).stderr
    time.sleep(LEASE)  # the outage itself: it must outlast the lease
    for process in runs("sleep", NAP):
        process.kill()
    eventually(lambda: "task.finished" in (log / "events.jsonl").read_text(), "the task ends")
    finished = json.loads((log / "events.jsonl").read_text().splitlines()[-1])
    assert "the credentials for the store have expired" in finished["message"]
    server.outage = None
    two.run("set-attribute", "app1", "slaves/ring::member/work", "true")
    two.run("apply", "app1", "--yes", "--lock-wait", "120s")
    assert "Nothing to do" in two.run("plan", "app1").stdout
