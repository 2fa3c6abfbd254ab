"""Finds and ends all processes of local nodes; finds them by their properties, never by a remembered process id.

A process is a node's if it is its server, descends from it (the server adopts orphans on Linux), or has the node's
marker in its environment (even if the server was killed and other processes adopted its children).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from dtk.nodes.local.environment import MARKER

SERVER_MODULE = "dtk.nodes.local"
_GRACE_SECONDS = 5.0
_LONGEST_SECONDS = 60.0
_PAUSE_SECONDS = 0.05
# A process may fork after the list was read, and exit before it is examined.
_EMPTY_LOOKS = 2


@dataclass
class Found:
    """A node's live processes: its servers (one; two during a start), and all others."""

    servers: list[psutil.Process] = field(default_factory=list)
    others: list[psutil.Process] = field(default_factory=list)

    @property
    def is_running(self) -> bool:
        """Whether the node is up: a server that an interrupted stop left suspended does not count."""
        return any(_status(server) != psutil.STATUS_STOPPED for server in self.servers)


@dataclass(frozen=True)
class Server:
    """A running server of a node: its server.json, and its start time in seconds since 1970."""

    settings: Path
    started: float


def running_servers() -> dict[str, Server]:
    """Return the running servers of all nodes on this machine, of any workspace, by marker."""
    found = {}
    for process in psutil.process_iter():
        words = _words(process)
        for flag, name, marker, settings in zip(words, words[1:], words[2:], words[3:], strict=False):
            if (flag, name) == ("-m", SERVER_MODULE) and _is_alive(process):
                # It may end in the meantime: then it does not count as running.
                with contextlib.suppress(psutil.Error):
                    found[marker] = Server(Path(settings), process.create_time())
    return found


def find(markers: Collection[str]) -> dict[str, Found]:
    """Return the processes of the nodes that have any, by marker (``LINEAGE/NODE``)."""
    found: dict[str, Found] = {}
    owner: dict[int, str] = {}
    processes = {process.pid: process for process in psutil.process_iter() if _is_alive(process)}
    for process in processes.values():
        marker = _served_marker(process)
        if marker in markers:
            found.setdefault(marker, Found()).servers.append(process)
            owner[process.pid] = marker
    parents = {pid: _parent(process) for pid, process in processes.items()}
    servers = set(owner)
    for process in processes.values():
        marker = _inherited(process.pid, parents, owner) or _environment_marker(process)
        if process.pid not in servers and marker in markers:
            found.setdefault(marker, Found()).others.append(process)
    return found


def end(markers: Collection[str]) -> set[str]:
    """End every process of the nodes: TERM, a grace period, KILL, until none is left.

    Returns:
        The markers of nodes that still have processes: the system could not end them within a minute.
    """
    started = time.monotonic()
    signalled: set[psutil.Process] = set()
    empty_looks = 0
    while empty_looks < _EMPTY_LOOKS:
        found = find(markers)
        empty_looks = 0 if found else empty_looks + 1
        age = time.monotonic() - started
        if found and age > _LONGEST_SECONDS:
            return set(found)
        for processes in found.values():
            _end_some(processes, signalled, kill=age > _GRACE_SECONDS)
        time.sleep(_PAUSE_SECONDS if found else 0)
    return set()


def _end_some(found: Found, signalled: set[psutil.Process], *, kill: bool) -> None:
    for server in found.servers:
        # While suspended, it starts nothing new and still adopts orphans; it is killed last.
        _signal(server, "suspend" if found.others else "kill")
    for process in found.others:
        if kill:
            _signal(process, "kill")
        elif process not in signalled:
            signalled.add(process)
            _signal(process, "terminate")


def _signal(process: psutil.Process, how: str) -> None:
    # psutil compares the process's creation time, so that a reused process id is never signalled.
    with contextlib.suppress(psutil.Error):
        getattr(process, how)()


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.Error:
        return psutil.STATUS_ZOMBIE


def _is_alive(process: psutil.Process) -> bool:
    return _status(process) not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)


def _parent(process: psutil.Process) -> int:
    try:
        return int(process.ppid())
    except psutil.Error:
        return 0


def _served_marker(process: psutil.Process) -> str:
    """Return the marker of the node whose server a process is, from its command line; "" for other processes."""
    triples = _triples(_words(process))
    return next((after for word, name, after in triples if (word, name) == ("-m", SERVER_MODULE)), "")


def _words(process: psutil.Process) -> list[str]:
    """Return the command line of a process, [] if it can't be read."""
    try:
        return list(process.cmdline())
    except (psutil.Error, OSError):
        return []


def _triples(words: list[str]) -> Iterable[tuple[str, str, str]]:
    return zip(words, words[1:], words[2:], strict=False)


def _environment_marker(process: psutil.Process) -> str:
    try:
        return str(process.environ().get(MARKER, ""))
    except (psutil.Error, OSError):
        return ""


def _inherited(pid: int, parents: dict[int, int], owner: dict[int, str]) -> str:
    """Return the marker of the nearest server among a process's ancestors, "" if there is none."""
    return next((owner[ancestor] for ancestor in _ancestors(pid, parents) if ancestor in owner), "")


def _ancestors(pid: int, parents: dict[int, int]) -> Iterator[int]:
    seen = set()
    while pid in parents and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
        yield pid
