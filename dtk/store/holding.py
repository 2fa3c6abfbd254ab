"""Holds a service in the store for this process: fetches its state and last log, and keeps its lease alive."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from dtk.events.recovery import close_orphaned_log
from dtk.model.store_settings import StoreSettings
from dtk.state.author import this_user
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
"""Attempts to close a log: a fenced holder may add segments meanwhile, so the log is read and closed again."""


@dataclass(frozen=True)
class HoldRequest:
    """A request to hold a service: ``lineage`` and ``workspace`` are ids, ``command`` is shown to people.

    ``wait`` is how long to wait for another holder, in seconds.
    """

    service: str
    lineage: str
    workspace: str
    command: str
    wait: float = 0.0


class HeldService:
    """A service held by this process until the shipper of its task takes over or the service is released."""

    def __init__(self, settings: StoreSettings, workspace: Workspace, service: str, lease: HeldLease) -> None:
        self.settings = settings
        self.keys = ServiceKeys(service)
        self.lease = lease
        self._workspace = workspace
        self._service = service
        self._beats: Beats | None = Beats(lease)

    def begin_task(self, number: int, plan: str) -> int:
        """Reserve a task number (the given one or the next free one) by storing the task's plan; return the number.

        Raises:
            StoreError: the store is unreachable or refuses the request, or its credentials need an interactive prompt.
        """
        refuse_questions(self.settings)
        number = max(number, self.lease.head.last_task + 1)
        # A holder that died before its task began may have left a plan: skip that number.
        while not put_once(self.lease.tools.objects, self.keys.plan(number), plan.encode()):
            number += 1
        return number

    def hand_over(self, number: int) -> None:
        """Note in the head that a task runs, and stop the heartbeats: the shipper takes over.

        Raises:
            FencedError: another process holds the service.
            StoreError: the store is unreachable or refuses the request.
        """
        self._stop_beats()
        self.lease.begin_task(number)

    def give_back(self) -> None:
        """Commit this process's changes of the state and release the service; do nothing after ``hand_over``.

        Raises:
            StoreError: the state cannot be committed; it is still on this machine's disk.
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
        """Release the service after a failure, before any change; if that fails, the lease expires by itself."""
        self._stop_beats()
        with suppress(StoreError):
            self.lease.release()

    def _stop_beats(self) -> None:
        if self._beats is not None:
            self._beats.stop()
            self._beats = None


def hold(settings: StoreSettings, workspace: Workspace, request: HoldRequest) -> HeldService:
    """Take the lease on a service whose local lock this process holds, and fetch its state and its last log.

    Raises:
        HeldError: another process holds the service for longer than ``request.wait`` seconds.
        StoreError: the store is unreachable or refuses the request, or does not match the local state.
    """
    raw, service = open_objects(settings), request.service
    objects = Patient(raw)
    seen = seen_of(workspace, service)
    found = head_now(objects, service)
    if found is None:
        refuse_changed_store(workspace, service, settings.shown)
    check_store(objects, request.workspace, was_used=seen is not None)
    refuse_strange(workspace, service, found.head if found else None, settings.shown)
    holder = new_lease(
        socket.gethostname(), this_user(os.environ), request.command, settings.lease, job_url(os.environ)
    )
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
    """Return the URL of the CI job that this process runs in, "" outside of CI."""
    if "GITHUB_RUN_ID" in environment:
        parts = (environment.get(name, "") for name in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
        return "/".join([*parts, "actions/runs", environment["GITHUB_RUN_ID"]])
    return environment.get("CI_JOB_URL") or environment.get("BUILD_URL", "")


def _bring(objects: Objects, workspace: Workspace, service: str, head: Head, place: str) -> None:
    """Update the local state and the last log to what the previous holder left; close the log if it is still open."""
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
    """Close the log that a task left open: its worker has ended, otherwise this process could not hold the service."""
    keys, log = ServiceKeys(service), workspace.event_log(service, task)
    if not task or objects.list(keys.whole_log(task)):
        return
    shipped, _ = read_log(objects, keys, task)
    # If the task wrote its log on this machine, the local log is complete; otherwise use what reached the store.
    if not (goes_on_here and log.exists() and log.read_bytes().startswith(shipped)):
        LogMirror(objects, keys, task, log).fetch_rest()
    if not log.exists():
        return
    close_orphaned_log(log)
    count = len(objects.list(keys.segments(task)))
    LogShipper(objects, keys, task, log, Shipped(count, len(shipped))).finish()
