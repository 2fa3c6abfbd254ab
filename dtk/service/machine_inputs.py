"""Inputs for powering and destroying the nodes of a service: from its files, or else from its last task."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from dtk.dsl.service import load_service
from dtk.dsl.workspace import WorkspaceConfiguration, load_workspace
from dtk.errors import DtkError, InvalidError, Location
from dtk.model.plan import Plan
from dtk.model.service import Service
from dtk.model.target import Target
from dtk.plan.document import from_text
from dtk.service.identity import FoundIdentity, check_id, state_of_service
from dtk.service.planning import Inputs, read_inputs, target_of
from dtk.service.saved_plans import stored_plan
from dtk.state.identity import Identity
from dtk.state.store import load_state
from dtk.state.workspace import Workspace
from dtk.targets import planned_target

_Read = TypeVar("_Read")


def read_machine_inputs(workspace: Workspace, name: str) -> tuple[Inputs, InvalidError | None]:
    """Read the inputs for powering and destroying the nodes of a service: its state and its target.

    Returns:
        The inputs, and the error that explains why they have no modules if a module, service.yaml or dtk.yaml is
        missing or invalid.

    Raises:
        InvalidError: a file is invalid, and no local task says where the nodes are.
    """
    try:
        return read_inputs(workspace, name), None
    except InvalidError as error:
        service = _valid(lambda: load_service(workspace.service_file(name), workspace.root))
        configuration = _valid(lambda: load_workspace(workspace.file, workspace.root))
        if service and configuration and (service.target or configuration.default_target) in configuration.targets:
            check_id(workspace, service)
            target = target_of(configuration, service)
            state = state_of_service(workspace, service)
            return Inputs(workspace, service, {}, state, target, configuration.id), error
        return _remembered(workspace, name, service, configuration, error), error


def remembered_identity(workspace: Workspace, name: str) -> FoundIdentity | None:
    """Return the ids that the last task of a service used, if service.yaml or dtk.yaml is missing or invalid.

    Returns:
        None if both files are valid (they have the ids then), or if no task is on record.
    """
    service = _valid(lambda: load_service(workspace.service_file(name), workspace.root))
    configuration = _valid(lambda: load_workspace(workspace.file, workspace.root))
    plan, state = last_plan(workspace, name), load_state(workspace.state_file(name))
    if (service and configuration) or plan is None or state is None:
        return None
    return FoundIdentity(Identity(configuration.id if configuration else plan.workspace, state.lineage))


def last_plan(workspace: Workspace, name: str) -> Plan | None:
    """Return the plan of the newest task whose plan can be read, here or in the store; None if there is none."""
    for number in reversed(workspace.task_numbers(name)):
        file = workspace.task_folder(name, number) / "plan.json"
        # Skip an unreadable plan: an earlier one names the target as well.
        with suppress(OSError, DtkError):
            return from_text(file.read_text(encoding="utf-8"), str(file))
    with suppress(DtkError):
        return stored_plan(workspace, name)
    return None


def last_target(workspace: Workspace, name: str) -> Target | None:
    """Return the target of a service's last task; None if no task is on record or its target type is not installed."""
    plan = last_plan(workspace, name)
    with suppress(DtkError):
        return planned_target(plan.target) if plan else None
    return None


def _remembered(
    workspace: Workspace,
    name: str,
    service: Service | None,
    configuration: WorkspaceConfiguration | None,
    error: InvalidError,
) -> Inputs:
    plan, target = last_plan(workspace, name), last_target(workspace, name)
    state = load_state(workspace.state_file(name))
    if plan is None or target is None or state is None:
        hint = "correct the file; no recorded task names the target of the nodes"
        raise InvalidError(error.message, error.problems, hint=hint)
    if service:
        check_id(workspace, service)
        state = state_of_service(workspace, service)
    else:
        file = workspace.service_file(name).relative_to(workspace.root)
        service = Service(name, "", "", target.name, Location(str(file), 1, 1), id=state.lineage)
    # Prefer the target as dtk.yaml describes it now, if readable: its credentials may have changed since.
    now = configuration.targets.get(target.name) if configuration else None
    target = now if now and now.type == target.type else target
    return Inputs(workspace, service, {}, state, target, configuration.id if configuration else plan.workspace)


def _valid(read: Callable[[], _Read]) -> _Read | None:
    try:
        return read()
    except InvalidError:
        return None
