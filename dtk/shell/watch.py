"""The running tasks, for the toolbar of the shell, and notices about tasks that have ended.

Source: the original's status monitor (docs/original.md 2.1), which showed its notice at the next prompt.
"""

from __future__ import annotations

import time

from dtk.errors import DtkError
from dtk.service.task_log import read_task
from dtk.state.lock import holder
from dtk.state.workspace import Workspace

LOOK_EVERY = 1.0
"""Maximum age of the toolbar's content, in seconds."""


class TaskWatch:
    """The running tasks of a workspace, and those that have ended since the last query."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._running: dict[tuple[str, int], str] = {}
        self._ended: list[tuple[str, int]] = []
        self._looked = 0.0

    def toolbar(self) -> str:
        """Return the running tasks in one line, "" if there are none."""
        self._look()
        return "   ".join(f"{name}: task {task} executing {age}" for (name, task), age in self._running.items())

    def notices(self) -> list[str]:
        """Return a notice for each task that has ended; each is returned only once."""
        self._looked = 0.0
        self._look()
        ended, self._ended = self._ended, []
        return [self._notice(name, task) for name, task in ended]

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        running = {}
        for name in self._workspace.service_names():
            found = holder(self._workspace.service_folder(name))
            if found is not None and found.task:
                running[name, found.task] = found.age()
        self._ended += [key for key in self._running if key not in running]
        self._running = running

    def _notice(self, service: str, task: int) -> str:
        try:
            status = read_task(self._workspace, service, task).status
        except (DtkError, OSError):
            return f"[TASK NOTICE] Service '{service}' no longer exists: its task {task} has finished"
        return f"[TASK NOTICE] Task with ID: {task} of '{service}', has finished with status: {status}"
