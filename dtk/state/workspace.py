"""The layout of a workspace: the only place that defines its paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dtk.errors import UsageError

WORKSPACE_FILE = "dtk.yaml"


@dataclass(frozen=True)
class Workspace:
    """A workspace, given by its root folder; all its paths are defined here."""

    root: Path

    @property
    def file(self) -> Path:
        """``dtk.yaml``."""
        return self.root / WORKSPACE_FILE

    @property
    def modules(self) -> Path:
        """The workspace's own modules, ``modules/NS/NAME``."""
        return self.root / "modules"

    @property
    def services(self) -> Path:
        """The services' desired state, ``services/NAME/service.yaml``."""
        return self.root / "services"

    @property
    def local(self) -> Path:
        """``.dtk``: local state, mode 0700, never committed."""
        return self.root / ".dtk"

    @property
    def lock_file(self) -> Path:
        """``dtk.lock``: the pinned installed modules; dtk writes it, users commit it."""
        return self.root / "dtk.lock"

    @property
    def installed(self) -> Path:
        """Installed modules by commit: ``.dtk/modules/COMMIT/NS/NAME``."""
        return self.local / "modules"

    def service_file(self, service: str) -> Path:
        """Return the path of a service's desired state."""
        return self.services / service / "service.yaml"

    def service_folder(self, service: str) -> Path:
        """Return the folder of a service's local state."""
        return self.local / "services" / service

    def state_file(self, service: str) -> Path:
        """Return the path of a service's state.json."""
        return self.service_folder(service) / "state.json"

    def store_file(self, service: str) -> Path:
        """Return the path of the record of the last read of a service from the shared store."""
        return self.service_folder(service) / "store.json"

    def known_hosts(self, service: str) -> Path:
        """Return the path of the pinned host keys of a service's nodes."""
        return self.service_folder(service) / "known_hosts"

    @property
    def shared_known_hosts(self) -> Path:
        """The path of the pinned host keys of machines that belong to no known service."""
        return self.local / "known_hosts"

    def tasks(self, service: str) -> Path:
        """Return the folder that holds a service's tasks by number."""
        return self.service_folder(service) / "tasks"

    def task_folder(self, service: str, task: int) -> Path:
        """Return the folder of one task: plan.json, events.jsonl, worker.log."""
        return self.tasks(service) / str(task)

    def event_log(self, service: str, task: int) -> Path:
        """Return the path of a task's event log."""
        return self.task_folder(service, task) / "events.jsonl"

    def task_numbers(self, service: str) -> list[int]:
        """Return the numbers of a service's tasks, oldest first."""
        folder = self.tasks(service)
        names = [entry.name for entry in folder.iterdir()] if folder.is_dir() else []
        return sorted(int(name) for name in names if name.isdigit())

    def names_with_state(self) -> list[str]:
        """Return the names of the services with a local state, sorted; some may no longer have a service.yaml."""
        return sorted(path.parent.name for path in self.local.glob("services/[!.]*/state.json"))

    def service_names(self) -> list[str]:
        """Return the names of the workspace's services, sorted."""
        return sorted(path.parent.name for path in self.services.glob("*/service.yaml"))


def find_workspace(start: Path) -> Workspace:
    """Return the workspace that contains ``start``: the nearest parent folder with a dtk.yaml.

    Raises:
        UsageError: there is none.
    """
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / WORKSPACE_FILE).is_file():
            return Workspace(candidate)
    raise UsageError(f"no {WORKSPACE_FILE} in {folder} or above it", hint="make a workspace here: dtk init")
