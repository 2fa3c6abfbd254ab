"""A service taken in the store by this process: its state and its last log brought here, its lease kept alive."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from dtk.events.recovery import close_orphaned_log
from dtk.model.store_settings import StoreSettings
from dtk.state.portable import own_key
from dtk.state.store import load_state, shared_text
from dtk.state.workspace import Workspace
from dtk.store.access import fetch_key
from dtk.store.beats import Beats
from dtk.store.commit import commit_state
from dtk.store.credentials import refuse_questions
from dtk.store.errors import FencedError, StoreError
from dtk.store.founding import check_store
from dtk.store.head import Head
from dtk.store.layout import ServiceKeys
from dtk.store.lease import HeldLease, LeaseRequest, Tools, acquire, new_lease
from dtk.store.mirror import (
    head_now,
    is_ahead,
    note_place,
    note_seen,
    put_state,
    refuse_changed_store,
    refuse_strange,
    seen_of,
)
from dtk.store.objects import Objects, Patient, put_once
from dtk.store.opening import open_access, open_objects
from dtk.store.segments import LogMirror, LogShipper, Shipped, read_log

_CLOSINGS = 3
"""Segments of a holder that is being fenced may come in between: the log is read and closed again."""


@dataclass(frozen=True)
class HoldRequest:
    """Who wants to hold which service: ``lineage`` and ``workspace`` are their ids, ``command`` is for people.

    ``wait`` is how long to wait for another holder, seconds.
    """

    service: str
    lineage: str
    workspace: str
    command: str
    wait: float = 0.0


class HeldService:
    """A service that this process holds, until it is handed over to its task's shipper or given back."""

    def __init__(self, settings: StoreSettings, workspace: Workspace, service: str, lease: HeldLease) -> None:
        self.settings = settings
        self.keys = ServiceKeys(service)
        self.lease = lease
        self._workspace = workspace
        self._service = service
        self._beats: Beats | None = Beats(lease)

    def begin_task(self, number: int, plan: str) -> int:
        """Reserve a task's number, the given one or the next that is free, with its plan; return it.

        Raises:
            StoreError: the store can't be reached, or refuses, or somebody would have to be asked to use it.
        """
        refuse_questions(self.settings)
        number = max(number, self.lease.head.last_task + 1)
        # A holder that died before it began its task may have left a plan: that number stays unused.
        while not put_once(self.lease.tools.objects, self.keys.plan(number), plan.encode()):
            number += 1
        return number

    def hand_over(self, number: int) -> None:
        """Note in the head that a task runs, for the shipper to go on from; this process beats no more.

        Raises:
            FencedError: another holder has the service.
            StoreError: the store can't be reached, or refuses.
        """
        self._stop_beats()
        self.lease.begin_task(number)

    def give_back(self) -> None:
        """Commit what this process changed in the state itself, and give the service back; nothing once handed over.

        Raises:
            StoreError: it can't be committed; it is on this machine's disk still.
        """
        if self._beats is None:
            return
        self._stop_beats()
        file = self._workspace.state_file(self._service)
        state = load_state(file)
        if state is not None and state.serial > self.lease.head.serial:
            commit_state(self.lease, state.serial, shared_text(state, file.parent).encode())
        note_place(self._workspace, self._service, self.lease.head, self.settings.shown)
        self.lease.release()

    def give_back_unchanged(self) -> None:
        """Give the service back after a failure before anything was changed; one that can't be runs out by itself."""
        self._stop_beats()
        with suppress(StoreError):
            self.lease.release()

    def _stop_beats(self) -> None:
        if self._beats is not None:
            self._beats.stop()
            self._beats = None


def hold(settings: StoreSettings, workspace: Workspace, request: HoldRequest) -> HeldService:
    """Take a service whose lock this process holds on this machine, and bring its state and its last log here.

    Raises:
        HeldError: another holder has it for longer than is to be waited.
        StoreError: the store can't be reached or refuses, or does not fit to what is here.
    """
    raw, service = open_objects(settings), request.service
    objects = Patient(raw)
    seen = seen_of(workspace, service)
    found = head_now(objects, service)
    if found is None:
        refuse_changed_store(workspace, service, settings.shown)
    check_store(objects, request.workspace, was_used=seen is not None)
    refuse_strange(workspace, service, found.head if found else None, settings.shown)
    holder = new_lease(socket.gethostname(), getpass.getuser(), request.command, settings.lease, job_url(os.environ))
    lease = acquire(Tools(raw), LeaseRequest(service, request.lineage, holder), wait=request.wait)
    held = HeldService(settings, workspace, service, lease)
    try:
        _bring(objects, workspace, service, lease.head, settings.shown)
        fetch_key(Patient(open_access(settings)), held.keys, own_key(workspace.service_folder(service)))
    except BaseException:
        held.give_back_unchanged()
        raise
    return held


def job_url(environment: Mapping[str, str]) -> str:
    """Return the address of the CI job that this process runs in, "" outside of one."""
    if "GITHUB_RUN_ID" in environment:
        parts = (environment.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
        return "/".join([*parts, "actions/runs", environment["GITHUB_RUN_ID"]])
    return environment.get("CI_JOB_URL") or environment.get("BUILD_URL", "")


def _bring(objects: Objects, workspace: Workspace, service: str, head: Head, place: str) -> None:
    """Make the local state and the last log those that the holder before has left; close the log if it did not."""
    before = replace(head, epoch=head.epoch - 1)
    local, seen = load_state(workspace.state_file(service)), seen_of(workspace, service)
    goes_on_here = is_ahead(local, seen, before)
    put_state(objects, workspace, service, before, place)
    for attempt in range(1, _CLOSINGS + 1):
        try:
            _close_last_log(objects, workspace, service, head.last_task, goes_on_here=goes_on_here)
            break
        except FencedError:
            if attempt == _CLOSINGS:
                raise
    note_seen(workspace, service, head)


def _close_last_log(objects: Objects, workspace: Workspace, service: str, task: int, *, goes_on_here: bool) -> None:
    """Close the log of a task that did not: its worker is gone, or this process would not hold the service."""
    keys, log = ServiceKeys(service), workspace.event_log(service, task)
    if not task or objects.list(keys.whole_log(task)):
        return
    shipped, _ = read_log(objects, keys, task)
    # What a task wrote here last is the truth; elsewhere it is what came into the store.
    if not (goes_on_here and log.exists() and log.read_bytes().startswith(shipped)):
        LogMirror(objects, keys, task, log).fetch_rest()
    if not log.exists():
        return
    close_orphaned_log(log)
    count = len(objects.list(keys.segments(task)))
    LogShipper(objects, keys, task, log, Shipped(count, len(shipped))).finish()
