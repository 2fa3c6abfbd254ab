"""Tests of connections on a Dask cluster: equal results, a killed scheduler, late messages, secrets, errors."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from dtk.apply.cancel import cancel_task
from dtk.errors import DtkError
from dtk.model.executor import DaskCluster
from dtk.ssh.shards.dask import relay
from tests.apply.lab import SERVICE, Lab, action, output, run, stage, wait_until
from tests.apply.test_shards import LONG, QUIET, comparable, met, pid_in
from tests.support.dask_cluster import Cluster

NODES = ("a:1", "a:2", "a:3")
SECRET = "canary-8f31c2"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    # With this log level, Dask logs each message that it passes.
    made = Cluster(tmp_path / "dask", {"DASK_LOGGING__DISTRIBUTED": "debug"})
    try:
        made.add_workers("one", "two")
        yield made
    finally:
        made.close()


def test_a_task_is_the_same_on_a_cluster_and_its_secrets_stay_nowhere(tmp_path: Path, cluster: Cluster) -> None:
    outcomes = []
    for name, dask in (("here", None), ("there", cluster.settings)):
        lab = Lab(tmp_path / name)
        try:
            servers = [lab.add_node(node) for node in NODES]
            (lab.workspace.root / "secret").write_text(SECRET)
            password = {"password": {"$secret": f"file:{lab.workspace.root / 'secret'}"}}
            command = {"$template": "printf %s {{ password }} > got; yes line | head -n 20000", "shell": True}
            value = output("{}/m::c/value", "cksum < got")
            steps = (
                action(
                    node,
                    "m::c",
                    run(command),
                    attributes=password,
                    outputs=({**value, "attribute": f"{node}/m::c/value"},),
                )
                for node in NODES
            )
            last = (action("a:1", "m::d", run("exit 3")), action("a:2", "m::d", run("echo fine; echo errors >&2")))
            result = lab.apply(
                met(*NODES), stage(2, *steps), stage(3, *last), workers=1 if dask is None else 2, dask=dask
            )
            assert (result.exit_code, (result.folder / "worker.log").read_text()) == (1, "")
            assert [(server.home / "got").read_text() for server in servers] == [SECRET] * 3
            events = Counter(comparable(event) for event in result.events if event["type"] not in QUIET)
            outcomes.append((events, [(server.logins, server.channels) for server in servers]))
        finally:
            lab.close()
    assert outcomes[0] == outcomes[1]
    wait_until(lambda: not cluster.shards())
    key = lab.key_file.read_text().splitlines()[2]
    assert not texts_with((SECRET, key), cluster.folder, lab.workspace.local)


def test_a_secret_is_on_no_page_and_in_no_process_list_while_it_is_used(lab: Lab, cluster: Cluster) -> None:
    server = lab.add_node("a:1")
    (lab.workspace.root / "secret").write_text(SECRET)
    password = {"password": {"$secret": f"file:{lab.workspace.root / 'secret'}"}}
    command = {"$template": "printf %s {{ password }} > got; echo $$ > pid; sleep 300", "shell": True}
    started = lab.start(
        stage(1, action("a:1", "m::c", run(command), attributes=password)), workers=1, dask=cluster.settings
    )
    pid_in(server)
    seen = [cluster.pages()]
    for pid in (started.pid, *(one.pid for one in cluster.processes)):
        for process in (psutil.Process(pid), *psutil.Process(pid).children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                seen += [*process.cmdline(), *process.environ().values()]
    key = lab.key_file.read_text().splitlines()[2]
    assert (server.home / "got").read_text() == SECRET
    assert not [text for text in seen if SECRET in text or key in text]
    assert not texts_with((SECRET, key), cluster.folder, lab.workspace.local)
    cancel_task(lab.workspace, SERVICE)
    assert lab.result(started).exit_code == 6
    wait_until(lambda: not cluster.shards())


def texts_with(words: tuple[str, ...], *folders: Path) -> list[Path]:
    """Return the files in folders that contain one of these words."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return [file for file in files if any(word in file.read_text(errors="replace") for word in words)]


def test_a_killed_scheduler_fails_what_ran_in_doubt(lab: Lab, cluster: Cluster) -> None:
    server = lab.add_node("a:1")
    started = lab.start(stage(1, action("a:1", "m::c", run(LONG))), workers=2, dask=cluster.settings)
    left = pid_in(server)
    cluster.scheduler.kill()
    result = lab.result(started)
    (finished,) = result.of("step.finished")
    assert (result.exit_code, finished["status"], finished["in_doubt"]) == (1, "failed", True)
    assert "ran on a Dask worker that was lost" in finished["error"]["message"]
    assert result.end["in_doubt"] == ["1.1"]
    assert "was lost" in (result.folder / "worker.log").read_text()
    wait_until(lambda: not cluster.shards())
    server.kill(left)


def test_the_shards_of_a_killed_task_end(lab: Lab, cluster: Cluster) -> None:
    server = lab.add_node("a:1")
    started = lab.start(stage(1, action("a:1", "m::c", run(LONG))), workers=1, dask=cluster.settings)
    left = pid_in(server)
    started.process.kill()
    started.process.wait()
    wait_until(lambda: not cluster.shards())
    server.kill(left)


def test_a_message_that_comes_late_or_altered_has_no_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker or a network that stood still delivers what was sent before the bridge gave up the shard."""
    monkeypatch.setattr(relay, "WAIT_SECONDS", 0.1)

    async def sent(silence: float, data: bytes) -> list[bool]:
        own = X25519PrivateKey.generate()
        monkeypatch.setattr(relay, "SILENCE_SECONDS", 30.0)
        answer = await relay.start("shard", "test", own.public_key().public_bytes_raw())
        assert isinstance(answer, bytes)
        monkeypatch.setattr(relay, "SILENCE_SECONDS", silence)
        try:
            return [await relay.send("shard", data), await relay.receive("shard") is not None]
        finally:
            await relay.end("shard")

    assert asyncio.run(sent(30.0, b"")) == [True, True]
    assert asyncio.run(sent(0.0, b"")) == [False, False]
    assert asyncio.run(sent(30.0, bytes(40))) == [False, True]


def test_a_key_that_cannot_be_read_here_is_not_looked_for_there(lab: Lab, cluster: Cluster, tmp_path: Path) -> None:
    lab.add_node("a:1")
    file = lab.workspace.state_file(SERVICE)
    missing = str(tmp_path / "missing")
    file.write_text(file.read_text().replace(str(lab.key_file), missing))
    result = lab.apply(stage(1, action("a:1", "m::c", run("true"))), workers=1, dask=cluster.settings)
    assert f"the private key {missing} can't be read: No such file" in result.step("1.1")["error"]["message"]


def test_a_cluster_that_cannot_be_used_is_refused_before_anything_is_done(lab: Lab, tmp_path: Path) -> None:
    lab.add_node("a:1")
    cluster = Cluster(tmp_path / "dask")
    gone = replace(cluster.settings, scheduler="tls://127.0.0.1:1")
    missing = replace(cluster.settings, ca="missing.pem")
    try:
        for settings, expected in (
            (cluster.settings, "the Dask cluster has no workers"),
            (gone, "the Dask scheduler tls://127.0.0.1:1 can't be reached"),
            (missing, "the file missing.pem of executor does not exist"),
        ):
            with pytest.raises(DtkError, match=expected) as refused:
                lab.start(met("a:1"), dask=settings)
            assert refused.value.hint
    finally:
        cluster.close()
    assert not list(lab.workspace.local.rglob("tasks/*"))


def test_without_dask_the_command_that_installs_it_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.add_node("a:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DtkError, match="says dask, but Dask is not installed") as refused:
        lab.start(met("a:1"), dask=DaskCluster("tls://127.0.0.1:8786"))
    assert refused.value.hint == "pip install 'dtk-cluster[dask]'"
    assert not list(lab.workspace.local.rglob("tasks/*"))
