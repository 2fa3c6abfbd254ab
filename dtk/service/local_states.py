"""The versions of a service's state kept in this folder: list and restore them."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path

from dtk.disk.files import version_of
from dtk.errors import DtkError, UsageError
from dtk.service.state_rebuild import serial_after
from dtk.state.model import State
from dtk.state.store import KEPT_VERSIONS, load_state, save_state
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class LocalState:
    """A version of a state: its file and its age in seconds. ``state`` is None if it can't be read."""

    file: Path
    age: float
    state: State | None
    is_current: bool


def read_local(workspace: Workspace, service: str) -> list[LocalState]:
    """Return the local state of a service and its earlier versions, newest first."""
    current = workspace.state_file(service)
    files = [current, *(version_of(current, number) for number in range(1, KEPT_VERSIONS + 1))]
    return [_read(file, is_current=file == current) for file in files if file.exists()]


def _read(file: Path, *, is_current: bool) -> LocalState:
    try:
        state = load_state(file)
    except (DtkError, OSError):
        state = None
    return LocalState(file, max(time.time() - file.stat().st_mtime, 0.0), state, is_current)


def choose_local(workspace: Workspace, service: str, serial: int) -> State:
    """Return the newest version with a serial.

    Raises:
        UsageError: no readable version has it.
    """
    found = [one.state for one in read_local(workspace, service) if one.state and one.state.serial == serial]
    if not found:
        raise UsageError(f"no state {serial} of '{service}' in this workspace", hint=f"dtk state history {service}")
    return found[0]


def restore_local(workspace: Workspace, service: str, earlier: State) -> int:
    """Make an earlier version the current state; the caller holds the lock. Return its new serial.

    The state that it replaces is kept as the newest earlier version, even if it is damaged.

    Raises:
        OSError: the state can't be written; the current state is unchanged.
    """
    current = next((one.state for one in read_local(workspace, service) if one.is_current), None)
    serial = current.serial + 1 if current else serial_after(workspace, service)
    last_task = max([earlier.last_task, *workspace.task_numbers(service)])
    save_state(workspace.state_file(service), replace(earlier, serial=serial, last_task=last_task))
    return serial
