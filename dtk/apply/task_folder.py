"""Creates a task's folder atomically: the plan and the files that it needs."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from dtk.disk.files import make_private_folder, sync_folder, write_new
from dtk.errors import DtkError, StalePlanError
from dtk.model.plan import Plan
from dtk.plan.document import to_text
from dtk.state.workspace import Workspace

PLAN_FILE, WORKER_LOG, FILES = "plan.json", "worker.log", "files"


def make_task_folder(workspace: Workspace, plan: Plan, number: int, modules: Mapping[str, Path]) -> Path:
    """Create ``tasks/N`` with ``plan.json`` and ``files/NS/NAME/…``; readers see it only when it is complete.

    Args:
        workspace: the workspace.
        plan: the plan of the task.
        number: the task's number; no task has it yet.
        modules: the modules' folders by name.

    Raises:
        StalePlanError: a module's file has changed since the plan was made.
        DtkError: it can't be written.
    """
    folder = workspace.task_folder(plan.service, number)
    building = folder.with_name(f".{number}.new")
    shutil.rmtree(building, ignore_errors=True)
    try:
        make_private_folder(building)
        write_new(building / PLAN_FILE, to_text(plan))
        for module, path, digest in _files(plan):
            _copy(module, path, digest, modules, building)
        sync_folder(building)
        building.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise DtkError(f"the task's folder {folder} can't be created: {error.strerror or error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def _files(plan: Plan) -> list[tuple[str, str, str]]:
    actions = (action for leaf in plan.leaves() for action in leaf.actions)
    return sorted({(action.module, path, digest) for action in actions for path, digest in action.files.items()})


def _copy(module: str, path: str, digest: str, modules: Mapping[str, Path], building: Path) -> None:
    source = modules[module] / path
    copied = building / FILES / module / path
    make_private_folder(copied.parent)
    try:
        shutil.copy(source, copied)
    except FileNotFoundError:
        raise _stale(module, path, "was removed") from None
    _copy_modes(modules[module], Path(path), building / FILES / module)
    # The task uses the copy, so the copy is checked.
    if hashlib.sha256(copied.read_bytes()).hexdigest() != digest.removeprefix("sha256:"):
        raise _stale(module, path, "has changed")


def _copy_modes(module: Path, path: Path, copied: Path) -> None:
    """Give copied folders the modes that they have in the module, since uploads preserve them.

    The task's own folder, above them, stays private to its owner.
    """
    for folder in (*path.parents,):
        mode = (module / folder).stat().st_mode & 0o777
        (copied / folder).chmod(mode | 0o700)


def _stale(module: str, path: str, what: str) -> StalePlanError:
    return StalePlanError(f"{path} of module {module} {what} since the plan was made", hint="make a new plan")
