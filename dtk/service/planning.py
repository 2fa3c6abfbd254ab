"""From a service's name to its plan: reads what the compiler needs from disk, and calls it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dtk.dsl.catalog import Catalog, load_catalog
from dtk.dsl.service import load_service
from dtk.dsl.workspace import load_workspace
from dtk.errors import InvalidError, Problem, StalePlanError
from dtk.model.module import Module
from dtk.model.names import CREATE
from dtk.model.plan import Plan
from dtk.model.selection import EVERYTHING, Selection
from dtk.model.service import Service
from dtk.model.suggestion import nearest
from dtk.model.target import Target
from dtk.plan.compile import compile_plan, plan_digest
from dtk.plan.resolve.request import PlanRequest, Scope
from dtk.state.model import State
from dtk.state.pinned import Pin, load_pins
from dtk.state.store import load_state
from dtk.state.workspace import Workspace


@dataclass(frozen=True)
class Inputs:
    """Everything about one service that is on disk."""

    workspace: Workspace
    service: Service
    modules: Mapping[str, Module]
    state: State
    target: Target

    def request(
        self, workflow: str = CREATE, scope: Scope = "changes", parameters: Mapping[str, str] | None = None
    ) -> PlanRequest:
        """Return what the compiler takes."""
        pins = load_pins(self.workspace.lock_file)
        sources = {name: _source(self.workspace, module, pins.get(name)) for name, module in self.modules.items()}
        return PlanRequest(
            self.service, self.modules, sources, self.state, self.target, workflow, scope, parameters or {}
        )

    def folders(self) -> dict[str, Path]:
        """Return each module's folder by the module's name."""
        return {name: module.folder for name, module in self.modules.items()}


def read_inputs(workspace: Workspace, name: str) -> Inputs:
    """Read a service, the modules it uses, its target and its state.

    Raises:
        InvalidError: a file of them is invalid; every mistake is listed.
    """
    service = load_service(workspace.service_file(name), workspace.root)
    state = load_state(workspace.state_file(name)) or State(name, "")
    modules = _modules(load_catalog(workspace), service, state)
    return Inputs(workspace, service, modules, state, find_target(workspace, service))


def _modules(catalog: Catalog, service: Service, state: State) -> Mapping[str, Module]:
    """The service's modules, those of components added to it, and those it takes to take applied components away."""
    modules = dict(catalog.with_dependencies(service.module))
    added = [use for node in service.nodes.values() for use in node.components]
    for use in [*added, *(use for uses in service.components.values() for use in uses)]:
        for module in catalog.providing(use.name.type):
            modules |= catalog.with_dependencies(module.name)
    applied = {one.module for components in state.applied.values() for one in components.values()}
    for name in sorted(applied - modules.keys()):
        if catalog.folder(name):
            modules |= catalog.with_dependencies(name)
    return modules


def find_target(workspace: Workspace, service: Service) -> Target:
    """Return the target that a service names.

    Raises:
        InvalidError: dtk.yaml has no such target.
    """
    configuration = load_workspace(workspace.file, workspace.root)
    name, targets = service.target or configuration.default_target, configuration.targets
    if name in targets:
        return targets[name]
    problem = Problem(
        f"no target '{name}' in dtk.yaml",
        service.location,
        expected=f"one of {', '.join(sorted(targets))}",
        nearest=nearest(name, targets),
    )
    raise InvalidError(f"service '{service.name}' can't be planned", [problem])


def make_plan(
    workspace: Workspace, name: str, *, scope: Scope = "changes", selection: Selection = EVERYTHING
) -> tuple[Plan, Inputs]:
    """Return the plan of a service's create workflow, or of what its last task left undone."""
    inputs = read_inputs(workspace, name)
    return compile_plan(replace(inputs.request(scope=scope), selection=selection)), inputs


def check_digest(plan: Plan, file: str) -> None:
    """Refuse a plan that is no longer what ``dtk plan`` wrote: what was reviewed is what is applied.

    Raises:
        InvalidError: its content is not what its digest says.
    """
    if plan.digest != plan_digest(plan):
        raise InvalidError(
            f"{file} was changed after dtk plan wrote it: its digest is another",
            hint=f"plan what is wanted (--only, --exclude): dtk plan {plan.service} --out FILE",
        )


def check_modules(plan: Plan, modules: Mapping[str, Module]) -> None:
    """Refuse a plan whose modules are no longer what it was made from.

    Raises:
        StalePlanError: names every module that differs.
    """
    present = {name: module.digest for name, module in modules.items()}
    changed = [used.name for used in plan.modules if present.get(used.name) != used.digest]
    if changed:
        raise StalePlanError(
            f"the plan is stale: changed since it was made: {', '.join(changed)}",
            hint=f"make a new one: dtk plan {plan.service} --out FILE",
        )


def _source(workspace: Workspace, module: Module, pin: Pin | None) -> str:
    """Say where a module comes from without naming this machine's folders: plans are read on others."""
    if pin and module.folder.is_relative_to(workspace.installed):
        return f"{pin.shown} at {pin.commit}" if pin.commit else pin.shown
    if module.folder.is_relative_to(workspace.root):
        return str(module.folder.relative_to(workspace.root))
    return "built-in"
