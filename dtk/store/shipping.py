"""Starts the process that uploads a task to the store (``dtk.store.shipper``) and describes its job."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from dtk.model.store_settings import StoreSettings, settings_of
from dtk.state.portable import own_key
from dtk.store.holding import HeldService

SHIPPER = "dtk.store.shipper"


@dataclass(frozen=True)
class Job:
    """A job of the shipper. ``worker`` is a process id; ``segment`` and ``size`` say what is uploaded already.

    ``state``, ``log`` and ``key`` are paths; the task creates the private key if its target needs one.
    """

    settings: StoreSettings
    service: str
    task: int
    nonce: str
    state: str
    log: str
    worker: int = 0
    segment: int = 0
    size: int = 0
    key: str = ""


def job_text(job: Job) -> str:
    """Return a job as the JSON text that the shipper reads."""
    return json.dumps(asdict(job))


def job_of(text: str) -> Job:
    """Return the job in a JSON text."""
    document = json.loads(text)
    return Job(**{**document, "settings": settings_of(document["settings"])})


def start_shipper(
    shared: HeldService, folder: Path, worker: int, link: socket.socket, lock: int, output: BinaryIO
) -> None:
    """Start a task's shipper, a process that outlives this one and holds the service from then on.

    Args:
        shared: the service, after ``hand_over``.
        folder: the task's folder, ``.dtk/services/NAME/tasks/N``.
        worker: the worker's process id.
        link: the shipper's end of the pair.
        lock: the descriptor of the service's lock, held on this machine until everything is uploaded.
        output: the file for the shipper's output.
    """
    home = folder.parents[1]
    job = Job(
        shared.settings,
        home.name,
        int(folder.name),
        shared.lease.nonce,
        str(home / "state.json"),
        str(folder / "events.jsonl"),
        worker,
        key=str(own_key(home)),
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", SHIPPER, str(link.fileno())],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
        pass_fds=[link.fileno(), lock],
    )
    if process.stdin is not None:
        process.stdin.write(job_text(job).encode())
        process.stdin.close()
