"""Tests of the worker that starts while the plan is made: it runs the task or exits without a trace."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import asyncssh
import psutil

from dtk.apply.worker_ahead import WorkerAhead, worker_ahead
from dtk.nodes.provider import Connection
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.host_keys import KnownHosts
from dtk.ssh.question import Question, question_text
from dtk.state.lock import acquire
from tests.apply.lab import SERVICE, Lab, action, run, stage
from tests.support.waiting import eventually


def test_the_worker_that_waits_runs_the_task_and_holds_the_lock(lab: Lab) -> None:
    lab.add_node("n1")
    marker = lab.workspace.root / "go-on"
    command = run(f"until [ -e {marker} ]; do sleep 0.05; done; echo done")
    with worker_ahead(lab.workspace, SERVICE, wanted=True) as ahead:
        assert ahead
        started = lab.start(stage(1, action("n1", "m::c", command)), ahead=ahead)
    assert started.process is ahead.process
    lab.wait_for(started, "step.started")
    with (started.folder.parents[1] / "lock").open() as file:
        assert f'"pid": {started.pid}' in file.read()
    marker.touch()
    result = lab.result(started)
    assert result.exit_code == 0
    assert [event["stdout"] for event in result.of("operation.finished")] == ["done"]
    assert (started.folder / "worker.log").read_text() == ""


def test_a_worker_without_a_task_is_ended_and_leaves_nothing(lab: Lab) -> None:
    before = files_in(lab.workspace.root)
    with worker_ahead(lab.workspace, SERVICE, wanted=True) as ahead:
        assert ahead
    assert ahead.process.returncode is not None
    assert files_in(lab.workspace.root) == before


def test_a_worker_whose_starter_died_ends_by_itself(lab: Lab) -> None:
    before = files_in(lab.workspace.root)
    starter = os.fork()
    if not starter:
        try:
            ahead = WorkerAhead(lab.workspace, SERVICE)
            (lab.workspace.root / "pid").write_text(str(ahead.process.pid))
            signal.pause()
        finally:
            os._exit(1)
    pid_file = lab.workspace.root / "pid"
    eventually(lambda: pid_file.exists() and pid_file.read_text() != "", "the worker is started")
    worker = psutil.Process(int(pid_file.read_text()))
    os.kill(starter, signal.SIGKILL)
    os.waitpid(starter, 0)
    eventually(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, "the worker has ended")
    assert files_in(lab.workspace.root) - before == {"pid"}


def test_while_a_worker_waits_its_starter_alone_holds_the_lock(lab: Lab) -> None:
    with acquire(lab.workspace.service_folder(SERVICE), "dtk apply"), worker_ahead(lab.workspace, SERVICE, wanted=True):
        pass
    with acquire(lab.workspace.service_folder(SERVICE), "dtk apply") as lock:
        assert lock.descriptor >= 0


def test_a_task_goes_to_another_worker_when_the_one_that_waited_is_gone(lab: Lab) -> None:
    lab.add_node("n1")
    with worker_ahead(lab.workspace, SERVICE, wanted=True) as ahead:
        assert ahead
        ahead.process.kill()
        ahead.process.wait()
        started = lab.start(stage(1, action("n1", "m::c", run("echo done"))), ahead=ahead)
    assert started.process is not ahead.process
    assert lab.result(started).exit_code == 0


def other_key() -> str:
    public = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    return " ".join(public.split()[:2])


def question(lab: Lab, node: str) -> str:
    """Return the question for its name to a node, with the connection that the task will use."""
    connection = Connection(**lab.state.nodes[node].connection)  # type: ignore[arg-type] # JSON
    return question_text(Question("echo I am here", lab.workspace.root / "none", {node: connection}, {}))


def test_a_task_takes_the_connections_over_which_its_worker_asked(lab: Lab) -> None:
    server = lab.add_node("n1")
    with worker_ahead(lab.workspace, SERVICE, wanted=True) as ahead:
        assert ahead
        answer = ahead.ask(question(lab, "n1"), 60)
        assert answer
        assert json.loads(answer)["n1"]["printed"] == "I am here\n"
        assert server.logins == 1
        started = lab.start(stage(1, action("n1", "m::c", run("echo done"))), ahead=ahead)
    assert lab.result(started).exit_code == 0
    assert server.logins == 1
    assert "ssh-" in lab.workspace.known_hosts(SERVICE).read_text()


def test_a_connection_to_a_machine_with_another_host_key_is_not_taken(lab: Lab) -> None:
    server = lab.add_node("n1")
    entry = host_entry(server.host, server.port)
    KnownHosts(lab.workspace.known_hosts(SERVICE)).pin_line(entry, other_key())
    with worker_ahead(lab.workspace, SERVICE, wanted=True) as ahead:
        assert ahead
        assert ahead.ask(question(lab, "n1"), 60)
        started = lab.start(stage(1, action("n1", "m::c", run("echo done"))), ahead=ahead)
    result = lab.result(started)
    assert result.exit_code == 1
    assert "the host key of" in result.step("1.1")["error"]["message"]
    assert server.logins == 1


def test_a_machine_that_can_not_be_asked_is_named(lab: Lab) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    none = lab.workspace.root / "none"
    with worker_ahead(lab.workspace, SERVICE, wanted=True) as ahead:
        assert ahead
        asked = question_text(Question("true", none, {"n1": Connection("127.0.0.1", closed, "x")}, {}))
        answer = ahead.ask(asked, 60)
        assert answer
        assert "no SSH connection to 127.0.0.1" in json.loads(answer)["n1"]["error"]
        ahead.process.kill()
        ahead.process.wait()
        assert ahead.ask(asked, 60) is None


def test_a_worker_whose_starter_died_in_the_middle_of_a_question_ends(lab: Lab) -> None:
    with worker_ahead(lab.workspace, SERVICE, wanted=True) as ahead:
        assert ahead
        ahead._mine.sendall(b'{"script": "tr')
        ahead._mine.close()
        assert ahead.process.wait(timeout=60) == 0


def test_a_worker_that_did_not_answer_in_time_gets_no_task(lab: Lab) -> None:
    lab.add_node("n1")
    with worker_ahead(lab.workspace, SERVICE, wanted=True) as ahead:
        assert ahead
        assert ahead.ask(question(lab, "n1"), 0.001) is None
        started = lab.start(stage(1, action("n1", "m::c", run("echo done"))), ahead=ahead)
    assert started.process is not ahead.process
    assert lab.result(started).exit_code == 0


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
