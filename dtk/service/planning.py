"""Makes the plan of a service by name: reads what the compiler needs from disk, and calls it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dtk import __version__
from dtk.apply.session.secrets import resolve_secret
from dtk.dsl.catalog import Catalog, load_catalog
from dtk.dsl.service import load_service
from dtk.dsl.workspace import WorkspaceConfiguration, load_workspace
from dtk.errors import DtkError, InvalidError, Problem, StalePlanError
from dtk.model.access import with_access
from dtk.model.executor import Executor
from dtk.model.module import Module
from dtk.model.names import CREATE
from dtk.model.plan import Plan
from dtk.model.selection import EVERYTHING, Selection
from dtk.model.service import Service
from dtk.model.suggestion import nearest
from dtk.model.target import NO_FACTS, Target
from dtk.plan.compile import compile_plan
from dtk.plan.document import digest_of_plan, earlier_digest
from dtk.plan.resolve.request import PlanRequest, Scope
from dtk.plan.rounds import Replacement, with_replacement
from dtk.service.identity import check_id, state_of_service
from dtk.service.target_facts import with_facts
from dtk.state.model import State
from dtk.state.pinned import Pin, load_pins
from dtk.state.secret_digests import known_secret_key, secret_digest
from dtk.state.workspace import Workspace

_AT_HAND = ("env:", "file:")


@dataclass(frozen=True)
class Inputs:
    """Everything about one service that is on disk."""

    workspace: Workspace
    service: Service
    modules: Mapping[str, Module]
    state: State
    target: Target
    workspace_id: str = ""
    executor: Executor = Executor()  # noqa: RUF009 - it is frozen

    def request(
        self, workflow: str = CREATE, scope: Scope = "changes", parameters: Mapping[str, str] | None = None
    ) -> PlanRequest:
        """Return the request for the compiler."""
        pins = load_pins(self.workspace.lock_file)
        sources = {name: _source(self.workspace, module, pins.get(name)) for name, module in self.modules.items()}
        return PlanRequest(
            self.service,
            self.modules,
            sources,
            self.state,
            self.target,
            workflow,
            scope,
            parameters or {},
            workspace=self.workspace_id,
            service_digest=self.service.digest,
            secrets=self._secrets(),
        )

    def _secrets(self) -> dict[str, str]:
        """Return the current keyed digests of applied secrets that can be read without the network."""
        applied = (one for components in self.state.applied.values() for one in components.values())
        references = {reference for one in applied for reference in one.secrets if reference.startswith(_AT_HAND)}
        key = known_secret_key(self.workspace, self.service.name) if references else b""
        found: dict[str, str] = {}
        for reference in sorted(references) if key else ():
            with suppress(DtkError):  # an unreadable secret counts as unchanged
                found[reference] = secret_digest(key, reference, resolve_secret(reference, self.workspace.root))
        return found

    def folders(self) -> dict[str, Path]:
        """Return the folder of each module by the module's name."""
        return {name: module.folder for name, module in self.modules.items()}


def read_inputs(workspace: Workspace, name: str) -> Inputs:
    """Read a service, the modules it uses, its target and its state.

    Raises:
        InvalidError: a file is invalid; all errors are listed.
    """
    service = load_service(workspace.service_file(name), workspace.root)
    check_id(workspace, service)
    state = state_of_service(workspace, service)
    modules = _modules(load_catalog(workspace), service, state)
    configuration = load_workspace(workspace.file, workspace.root)
    # The plan contains the access keys: nodes are created with the keys that were reviewed, whoever applies the plan.
    target = with_access(target_of(configuration, service), service.access)
    return Inputs(workspace, service, modules, state, target, configuration.id, configuration.executor)


def _modules(catalog: Catalog, service: Service, state: State) -> Mapping[str, Module]:
    """Return the service's modules, those of components added to it, and those needed to delete applied components."""
    modules = dict(catalog.with_dependencies(service.module))
    # A service may add components of modules that the assembly's own module does not depend on.
    added = [use for node in service.nodes.values() for use in node.components]
    for use in [*added, *(use for uses in service.components.values() for use in uses)]:
        for module in catalog.providing(use.name.type):
            modules |= catalog.with_dependencies(module.name)
    applied = {one.module for components in state.applied.values() for one in components.values()}
    # The delete action of a dropped component is in a module that the service may no longer use.
    for name in sorted(applied - modules.keys()):
        # A missing module can't delete anything, but must not prevent planning the rest.
        if catalog.folder(name):
            modules |= catalog.with_dependencies(name)
    return modules


def find_target(workspace: Workspace, service: Service) -> Target:
    """Return the target that a service names.

    Raises:
        InvalidError: dtk.yaml has no such target.
    """
    return target_of(load_workspace(workspace.file, workspace.root), service)


def target_of(configuration: WorkspaceConfiguration, service: Service) -> Target:
    """Return the target that a service names, from a parsed dtk.yaml.

    Raises:
        InvalidError: dtk.yaml has no such target.
    """
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
    workspace: Workspace,
    name: str,
    *,
    scope: Scope = "changes",
    selection: Selection = EVERYTHING,
    replacement: Replacement | None = None,
    asks_target: bool = False,
) -> tuple[Plan, Inputs]:
    """Return the plan of a service's create workflow, or of what its last task left undone.

    Args:
        workspace: the workspace.
        name: the name of the service.
        scope: which steps the plan includes.
        selection: the part of the service to plan.
        replacement: the machines to replace in addition, or None.
        asks_target: whether to ask the target, if the plan makes machines, what their images and types are now.
    """
    inputs = read_inputs(workspace, name)

    def planned() -> Plan:
        request = replace(inputs.request(scope=scope), selection=selection)
        return compile_plan(with_replacement(request, replacement) if replacement else request)

    plan = planned()
    if asks_target and any(leaf.type == "create_node" for leaf in plan.leaves()):
        inputs = replace(inputs, target=with_facts(workspace, inputs.request()))
        plan = planned() if inputs.target.facts != NO_FACTS else plan
    return plan, inputs


def check_digest(plan: Plan, file: str, digest: str = "") -> None:
    """Refuse a plan that was edited after ``dtk plan`` wrote it: only what was reviewed is applied.

    Args:
        plan: the plan.
        file: the source of the plan, for the message.
        digest: the required digest, "" to accept any.

    Raises:
        InvalidError: the content does not match its digest, or the digest is not the required one.
    """
    is_as_written = plan.digest == digest_of_plan(plan) or plan.digest == earlier_digest(plan)
    if not is_as_written or digest not in ("", plan.digest):
        raise InvalidError(
            f"{file} was edited after dtk plan wrote it (digest mismatch)",
            hint=f"change the plan with options (--only, --exclude): dtk plan {plan.service} --out FILE",
        )


def check_plan(plan: Plan, inputs: Inputs) -> None:
    """Refuse a plan that was made by another dtk version or from other files of the service or its modules.

    Raises:
        StalePlanError: names what differs.
    """
    hint = f"make a new one: dtk plan {plan.service} --out FILE"
    if _series(plan.dtk_version) != _series(__version__):
        made, own = plan.dtk_version, __version__
        raise StalePlanError(f"the plan is stale: it was made by dtk {made}, and this is dtk {own}", hint=hint)
    digests = {name: module.digest for name, module in inputs.modules.items()}
    changed = [used.name for used in plan.modules if digests.get(used.name) != used.digest]
    # The plan that destroys a service without a file has no digest to compare.
    if plan.service_digest not in ("", inputs.service.digest):
        file = inputs.workspace.service_file(plan.service)
        changed = [str(file.relative_to(inputs.workspace.root)), *changed]
    if changed:
        raise StalePlanError(f"the plan is stale: changed since it was made: {', '.join(changed)}", hint=hint)
    if plan.lineage and inputs.service.id not in ("", plan.lineage):
        raise StalePlanError(
            f"the plan is stale: it was made for an earlier service with the name '{plan.service}'"
            f" (id {plan.lineage}; service.yaml has {inputs.service.id})",
            hint=hint,
        )


def _series(version: str) -> str:
    """Return the part of a version that plans depend on: 1.4 for 1.4.2. Patch releases keep a plan's meaning."""
    return ".".join(version.split(".")[:2])


def _source(workspace: Workspace, module: Module, pin: Pin | None) -> str:
    """Return where a module comes from, without this machine's paths: plans are read on other machines."""
    if pin and module.folder.is_relative_to(workspace.installed):
        return f"{pin.shown} at {pin.commit}" if pin.commit else pin.shown
    if module.folder.is_relative_to(workspace.root):
        return str(module.folder.relative_to(workspace.root))
    return "built-in"
