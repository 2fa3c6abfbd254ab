"""Where everything stands in a workspace: the one place that spells its paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dtk.errors import UsageError

WORKSPACE_FILE = "dtk.yaml"


@dataclass(frozen=True)
class Workspace:
    """A workspace by its root folder; every path in it is asked for here."""

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
        """``dtk.lock``: the installed modules, pinned; dtk writes it, people commit it."""
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
        """Return the path of what was last read of a service in the shared store, and when."""
        return self.service_folder(service) / "store.json"

    def known_hosts(self, service: str) -> Path:
        """Return the path of the host keys that are pinned for a service's nodes."""
        return self.service_folder(service) / "known_hosts"

    @property
    def shared_known_hosts(self) -> Path:
        """The path of the host keys that are pinned for machines of which no service here is known."""
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
        """Return the names of the services that have a state here, sorted; some may have no file any more."""
        return sorted(path.parent.name for path in self.local.glob("services/[!.]*/state.json"))

    def service_names(self) -> list[str]:
        """Return the names of the workspace's services, sorted."""
        return sorted(path.parent.name for path in self.services.glob("*/service.yaml"))


def find_workspace(start: Path) -> Workspace:
    """Return the workspace that ``start`` lies in: the nearest folder upwards with a dtk.yaml.

    Raises:
        UsageError: there is none.
    """
    folder = start.resolve()
    for candidate in (folder, *folder.parents):
        if (candidate / WORKSPACE_FILE).is_file():
            return Workspace(candidate)
    raise UsageError(f"no {WORKSPACE_FILE} in {folder} or above it", hint="make a workspace here: dtk init")
