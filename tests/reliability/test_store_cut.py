"""An S3 store whose packets are dropped, with the lease time of production: for 20 seconds and for five minutes.

``tests/reliability/run --long store_cut`` runs it in ten minutes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dtk.model.store_settings import StoreSettings
from dtk.store.head import Head, decode
from dtk.store.layout import ServiceKeys
from dtk.store.s3_objects import S3Objects
from tests.end_to_end.test_takeover import CLUSTER, MODULE
from tests.reliability.forms import long_form
from tests.store.stores import S3Server, in_dtk_yaml, serve_s3
from tests.support.command_line import Dtk
from tests.support.processes import NAP, runs
from tests.support.shared_clones import Team, found_team, task_processes
from tests.support.waiting import eventually

LEASE_SECONDS = 60


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[S3Server, StoreSettings]]:
    if os.geteuid() != 0 or shutil.which("nft") is None:
        pytest.skip("a network of its own can only be made by root on Linux")
    yield from serve_s3(monkeypatch)


@pytest.fixture
def team(tmp_path: Path, s3: tuple[S3Server, StoreSettings]) -> Iterator[Team]:
    team = found_team(tmp_path, MODULE, in_dtk_yaml(s3[1]))
    Dtk(team.origin).run("stage", CLUSTER, "app1", "--set", f"slaves/ring::member/work=sleep {NAP}")
    yield team
    clone(team, "closer").run("delete-and-destroy", "app1", "--yes", "--force", "--lock-wait", "180s")


def clone(team: Team, name: str) -> Dtk:
    """Make a fresh clone with the lease time of dtk.yaml instead of the tests' shorter one."""
    return Dtk(team.clone(name).root)


@contextmanager
def cut(settings: StoreSettings) -> Iterator[None]:
    """Drop every packet to and from the store."""
    port = urlsplit(settings.endpoint_url).port
    table = f"dtkcut{port}"
    rules = "\n".join(
        f"chain {hook} {{ type filter hook {hook} priority 0; tcp dport {port} drop; tcp sport {port} drop; }}"
        for hook in ("input", "output")
    )
    subprocess.run(["nft", "-f", "-"], input=f"table inet {table} {{\n{rules}\n}}\n", text=True, check=True)
    try:
        yield
    finally:
        subprocess.run(["nft", "delete", "table", "inet", table], check=True)


def head(settings: StoreSettings) -> Head:
    found = S3Objects(settings).get(ServiceKeys("app1").head)
    assert found is not None
    return decode(found.data, "head")


def beats(settings: StoreSettings) -> int:
    lease = head(settings).lease
    return lease.beat if lease else 0


def begin(dtk: Dtk) -> None:
    """Start a task that hangs in the members' actions."""
    dtk.run("apply", "app1", "--yes", "--detach")
    eventually(lambda: len(runs("sleep", NAP)) == 2, "the members work")


def end_naps() -> None:
    for process in runs("sleep", NAP):
        process.kill()


@long_form
def test_a_store_cut_off_for_20_seconds_is_nothing_to_see(team: Team, s3: tuple[S3Server, StoreSettings]) -> None:
    one, settings = clone(team, "one"), s3[1]
    begin(one)
    before = beats(settings)
    with cut(settings):
        time.sleep(20)  # the cut itself: it must last this long
    eventually(lambda: beats(settings) > before, "it beats again")
    end_naps()
    eventually(lambda: head(settings).lease is None, "the task has ended and the service is free")
    assert "could not be reached" not in json.dumps(one.events("app1", 1))


@long_form
def test_a_store_cut_off_for_five_minutes_ends_the_task_and_it_is_resumed(
    team: Team, s3: tuple[S3Server, StoreSettings]
) -> None:
    one, two, settings = clone(team, "one"), clone(team, "two"), s3[1]
    begin(one)
    worker = task_processes(one, "app1")["worker"]
    begun = time.monotonic()
    with cut(settings):
        time.sleep(LEASE_SECONDS)  # the cut itself: it must last this long
        assert runs("sleep", NAP), "what runs may finish"
        end_naps()
        worker.wait(300 - (time.monotonic() - begun))
        finished = one.events("app1", 1)[-1]
        assert finished["type"] == "task.finished"
        assert "the store has been unreachable since" in finished["message"]
        assert "app1: as of" in one.run("task-status", "app1", code=None).stderr
        time.sleep(max(300 - (time.monotonic() - begun), 0))
    two.run("set-attribute", "app1", "slaves/ring::member/work", "true")
    two.run("apply", "app1", "--yes", "--lock-wait", "180s")
    assert [node["node"] for node in two.json("list-nodes", "app1")] == ["master", "slaves:1", "slaves:2"]
    assert "Nothing to do" in two.run("plan", "app1").stdout
    assert head(settings).lease is None
