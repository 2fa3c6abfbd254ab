"""The story of examples/fleet, step by step; run it with examples/fleet/run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncssh
import psutil

from tests.support.farm import Farm, farm

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
COMPUTE, FLEET = "compute1", "fleet1"
PATIENCE = 600.0
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Workspace:
    """A workspace, in which dtk's commands run."""

    root: Path

    def dtk(self, *words: str, code: int = 0) -> None:
        """Run a command as one would type it, and show it."""
        print(f"\n$ dtk {' '.join(words)}", flush=True)
        done = subprocess.run([sys.executable, "-m", "dtk", *words], cwd=self.root, check=False)
        expect(done.returncode == code, f"exit code {done.returncode} instead of {code}")

    def read(self, *words: str) -> str:
        """Return what a command prints."""
        words = (sys.executable, "-m", "dtk", *words)
        return subprocess.run(words, cwd=self.root, check=True, stdout=subprocess.PIPE, text=True).stdout

    def events(self, task: int) -> list[Event]:
        """Return the events of one of the fleet's tasks."""
        log = self.root / f".dtk/services/{FLEET}/tasks/{task}/events.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()]


def expect(condition: bool, otherwise: str) -> None:
    """End the example if something is not as it should be."""
    if not condition:
        raise SystemExit(f"examples/fleet failed: {otherwise}")


def say(text: str) -> None:
    """Print what happens next."""
    print(f"\n--- {text}", flush=True)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition is met."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        expect(time.monotonic() < deadline, f"it never happened: {what}")
        time.sleep(0.2)


def new_workspace(root: Path) -> Workspace:
    """Return a new workspace."""
    subprocess.run([sys.executable, "-m", "dtk", "init", root], check=True, stdout=subprocess.DEVNULL)
    return Workspace(root)


@contextmanager
def dask_cluster(folder: Path) -> Iterator[Workspace]:
    """Deploy a Dask cluster whose workers have dtk, in a workspace of its own; destroy it at the end."""
    compute = new_workspace(folder / "compute")
    try:
        deploy_dask(compute, folder)
        yield compute
    finally:
        compute.dtk("delete-and-destroy", COMPUTE, "--yes", "--force")


def deploy_dask(compute: Workspace, folder: Path) -> None:
    """Deploy a Dask cluster with TLS, and dtk from this checkout on its workers."""
    # Local nodes of root run as another user, who reads the wheel.
    folder.chmod(0o711)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    subprocess.run([*build, "--wheel-dir", folder, ROOT], check=True)
    (wheel,) = folder.glob("*.whl")
    compute.dtk(
        *("deploy", "dtk:dask/tls_cluster", COMPUTE),
        *("--set", f"dask::cluster/version={version('distributed')}"),
        *("--set", f"slaves/dask::environment/packages=[dtk-cluster @ {wheel.as_uri()}]"),
    )


def use_dask(fleet: Workspace, compute: Workspace) -> None:
    """Name the Dask cluster in dtk.yaml as the executor; get a certificate for it."""
    tls = fleet.root / "tls"
    tls.mkdir(mode=0o700)
    for name in ("ca.pem", "certificate.pem", "key.pem"):
        (tls / name).touch(mode=0o600)
        (tls / name).write_text(compute.read("ssh", COMPUTE, "master", "--", f"cat certificates/{name}"))
    executor = {
        "type": "dask",
        "scheduler": compute.read("outputs", COMPUTE, "scheduler").strip(),
        "ca": "tls/ca.pem",
        "certificate": "tls/certificate.pem",
        "key": "tls/key.pem",
    }
    with (fleet.root / "dtk.yaml").open("a") as file:
        file.write(f"executor: {json.dumps(executor)}\n")


def add_machines(fleet: Workspace, port: int, key: Path, nodes: int) -> None:
    """Name simulated machines in dtk.yaml, and stage a service on them."""
    hosts = {f"h{number}": {"address": "127.0.0.1", "port": port} for number in range(nodes)}
    rack = {"type": "hosts", "user": "farm", "key": str(key), "hosts": hosts}
    with (fleet.root / "dtk.yaml").open("a") as file:
        file.write(f"targets: {json.dumps({'rack': rack})}\n")
    shutil.copytree(HERE / "modules", fleet.root / "modules", dirs_exist_ok=True)
    fleet.dtk("stage", "demo:fleet/fleet", FLEET, "--target", "rack", "--set", f"members/cardinality={nodes}")


def kill_a_dask_worker(compute: Workspace) -> None:
    """Kill the Dask worker on slaves:1 with SIGKILL."""
    address = next(n["attributes"]["host_address"] for n in nodes_of(compute, COMPUTE) if n["node"] == "slaves:1")
    for process in psutil.process_iter():
        words = command_line(process)
        if "worker" in words and address in words and any(word.endswith("bin/dask") for word in words):
            print(f"kill -9 {process.pid}  ({' '.join(words[1:5])} ...)")
            process.kill()
            return
    expect(False, f"no Dask worker on {address}")


def command_line(process: psutil.Process) -> Sequence[str]:
    """Return the words of a process, none if it is gone."""
    try:
        return process.cmdline()
    except psutil.Error:
        return ()


def nodes_of(workspace: Workspace, service: str) -> list[dict[str, Any]]:
    """Return the nodes of a service."""
    return list(json.loads(workspace.read("list-nodes", service, "--json")))


def apply_and_lose_a_worker(fleet: Workspace, compute: Workspace, machines: Farm, nodes: int) -> None:
    """Apply the fleet; once its work is under way on each node, kill a Dask worker, and let the others finish."""
    print(f"\n$ dtk apply {FLEET} --yes", flush=True)
    log = (fleet.root / "apply.log").open("w")
    applying = subprocess.Popen(
        [sys.executable, "-m", "dtk", "apply", FLEET, "--yes"], cwd=fleet.root, stdout=log, stderr=log
    )
    wait_until(
        lambda: applying.poll() is not None or under_way(machines) == nodes, "the work is under way on each node"
    )
    expect(applying.poll() is None, (fleet.root / "apply.log").read_text())
    kill_a_dask_worker(compute)
    wait_until(lambda: any(failed_steps(fleet.events(1))), "the steps of the killed worker fail")
    machines.release()
    expect(applying.wait(PATIENCE) == 1, "the task did not fail")


def under_way(machines: Farm) -> int:
    """Return on how many nodes the second command has started."""
    return sum(name.startswith("serve/") for name in machines.counts().runs)


def finished_steps(events: Sequence[Event]) -> dict[object, Event]:
    """Return the last events of the fleet's own steps, by node."""
    return {event["node"]: event for event in events if event["type"] == "step.finished" and event["step"] != "1.1"}


def failed_steps(events: Sequence[Event]) -> list[Event]:
    """Return the last events of failed steps."""
    return [event for event in events if event["type"] == "step.finished" and event["status"] == "failed"]


def check_the_loss(fleet: Workspace, nodes: int) -> set[object]:
    """Check that each node's step has ended, and that those of the killed worker are in doubt; return their nodes."""
    events = fleet.events(1)
    failed = failed_steps(events)
    expect(0 < len(failed) < nodes, f"{len(failed)} of {nodes} steps failed")
    reasons = {"ran on a Dask worker that was lost" in str(event["error"]) for event in failed}
    expect(reasons == {True}, f"a step failed for another reason: {failed[0]['error']}")
    doubt = {event["step"] for event in failed}
    expect(set(events[-1]["in_doubt"]) == doubt, "the steps in doubt are not those that failed")
    print(f"{nodes - len(failed)} nodes succeeded, {len(failed)} steps are in doubt: the killed worker ran them")
    return {event["node"] for event in failed}


def check_nothing_is_lost(fleet: Workspace, machines: Farm, nodes: int, doubted: set[object]) -> None:
    """Check both logs, and that each command ran once on each node, again only where it was in doubt."""
    for task in (1, 2):
        events = fleet.events(task)
        expect([event["seq"] for event in events] == [*range(1, len(events) + 1)], f"task {task}: events are missing")
        kinds = Counter(event["type"] for event in events)
        expect(kinds["step.started"] == kinds["step.finished"], f"task {task}: a step has no end")
        expect(events[-1]["type"] == "task.finished", f"task {task} has no end")
    runs = machines.counts().runs
    names = [str(node["node"]) for node in nodes_of(fleet, FLEET)]
    wanted = {f"{command}/{name}": 2 if name in doubted else 1 for command in ("prepare", "serve") for name in names}
    expect(len(names) == nodes, f"{len(names)} nodes instead of {nodes}")
    expect(dict(runs) == wanted, f"other runs than expected: {dict(runs)}")
    print(f"Each command ran on each of the {nodes} nodes: once, or again on the {len(doubted)} in doubt.")
    print("Both logs are complete. Nothing is lost.")


def tell(folder: Path, nodes: int) -> None:
    """Run the example in a folder."""
    client = asyncssh.generate_private_key("ssh-ed25519")
    key = folder / "machines_key"
    key.touch(mode=0o600)
    key.write_bytes(client.export_private_key())
    say("dtk deploys a Dask cluster with TLS")
    with dask_cluster(folder) as compute, farm(client, folder) as machines:
        say(f"a service of {nodes} simulated nodes, applied with the Dask cluster; one of its workers is killed")
        fleet = new_workspace(folder / "fleet")
        add_machines(fleet, machines.port, key, nodes)
        use_dask(fleet, compute)
        began = time.monotonic()
        apply_and_lose_a_worker(fleet, compute, machines, nodes)
        doubted = check_the_loss(fleet, nodes)
        lost = time.monotonic()
        say("the task is resumed")
        fleet.dtk("apply", FLEET, "--resume", "--yes")
        resumed = time.monotonic()
        say("what the machines and the logs say")
        check_nothing_is_lost(fleet, machines, nodes, doubted)
        print(f"The task took {lost - began:.1f} s, its resumption {resumed - lost:.1f} s.")


def main(nodes: int) -> None:
    """Run the example in a new folder and remove it."""
    os.environ["COLUMNS"] = "120"
    folder = Path(tempfile.mkdtemp(prefix="dtk-fleet."))
    try:
        tell(folder, nodes)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main(int(sys.argv[1]))
