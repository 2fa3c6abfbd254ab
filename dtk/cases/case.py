"""Golden plan cases: each folder tests/NAME of a module is a case; its plan is computed without nodes and compared.

tests/NAME/service.yaml   desired state of a service called NAME
           before.yaml    desired state that was applied before (optional)
           scope          one word: all, resume or destroy instead of changes (optional)
           plan.txt       expected: the plan for people, or the error instead of it
           plan.json      expected: nodes, components and stages with their operations (optional)
           apply.yaml     what ``dtk test --apply`` does and expects (optional)
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from dtk.dsl.service import load_service
from dtk.errors import DtkError, InvalidError, Problem
from dtk.model.json_data import Json
from dtk.model.module import Module
from dtk.model.plan import Plan
from dtk.model.service import Service
from dtk.plan.compile import compile_plan
from dtk.plan.destroy import destroy_plan
from dtk.plan.document import to_document
from dtk.plan.resolve.request import PlanRequest, Scope
from dtk.plan.simulation import applied
from dtk.state.model import State
from dtk.targets import EMBEDDED
from dtk.views.plan_text import plan_text

SERVICE_FILE, BEFORE_FILE, SCOPE_FILE = "service.yaml", "before.yaml", "scope"
TEXT_FILE, JSON_FILE = "plan.txt", "plan.json"
_DESTROY = "destroy"
_KEPT_KEYS = ("nodes", "components", "stages", "workflow", "task_type")
_DIGESTS = ("action_digest", "input_digest", "files")


@dataclass(frozen=True)
class Case:
    """One case of a module. ``modules`` are the module and all its dependencies, by name."""

    module: Module
    folder: Path
    modules: Mapping[str, Module]

    @property
    def name(self) -> str:
        """The case's name for people: ``acme:web first-deploy``."""
        return f"{self.module.name.replace('/', ':')} {self.folder.name}"


def cases_of(module: Module, modules: Mapping[str, Module]) -> list[Case]:
    """Return a module's cases, sorted by name."""
    files = sorted(module.folder.glob(f"tests/*/{SERVICE_FILE}"))
    return [Case(module, file.parent, modules) for file in files]


def produced(case: Case) -> dict[str, str]:
    """Return the files that a case produces, by name: the plan, or the error instead of it."""
    try:
        plan = _planned(case)
    except DtkError as error:
        return {TEXT_FILE: f"{error}\n"}
    return {TEXT_FILE: plan_text(plan), JSON_FILE: plan_json(plan)}


def differences(case: Case) -> str:
    """Return the differences from the expected files as a diff; "" if there are none."""
    made = produced(case)
    if not (case.folder / TEXT_FILE).is_file():
        return f"{TEXT_FILE} is missing: dtk test --update writes it\n"
    text = _diff(case, TEXT_FILE, made[TEXT_FILE])
    has_json = (case.folder / JSON_FILE).is_file()
    return text + (_diff(case, JSON_FILE, made.get(JSON_FILE, "")) if has_json else "")


def update(case: Case) -> list[str]:
    """Rewrite the expected files, for review in the diff; return the names of those that changed."""
    made = produced(case)
    names = [name for name in made if name == TEXT_FILE or (case.folder / name).is_file()]
    changed = [name for name in names if _read(case.folder / name) != made[name]]
    for name in changed:
        (case.folder / name).write_text(made[name], encoding="utf-8")
    return changed


def plan_json(plan: Plan) -> str:
    """Return the part of a plan that the module determines, without digests, versions and machines."""
    document = {key: value for key, value in to_document(plan).items() if key in _KEPT_KEYS}
    return json.dumps(_without_digests(document), indent=2, ensure_ascii=False) + "\n"


def _without_digests(value: Json) -> Json:
    if isinstance(value, dict):
        return {key: _without_digests(item) for key, item in value.items() if key not in _DIGESTS}
    return [_without_digests(item) for item in value] if isinstance(value, list) else value


def _planned(case: Case) -> Plan:
    state = State(case.folder.name, "")
    if (case.folder / BEFORE_FILE).is_file():
        before = _request(case, BEFORE_FILE, state)
        state = applied(compile_plan(replace(before, scope="changes")), state)
    request = _request(case, SERVICE_FILE, state)
    return destroy_plan(request, force=False) if _scope(case) == _DESTROY else compile_plan(request)


def _request(case: Case, file: str, state: State) -> PlanRequest:
    service = load_service(case.folder / file, case.module.folder)
    _check(case, service)
    scope = _scope(case)
    chosen = cast(Scope, scope) if scope in ("all", "resume") else "changes"
    return PlanRequest(service, case.modules, {}, state, EMBEDDED, scope=chosen)


def _check(case: Case, service: Service) -> None:
    if service.module not in case.modules:
        problem = Problem(f"the service is of module '{service.module}'", service.location, expected=case.module.name)
        raise InvalidError(f"case '{case.folder.name}' is not one of this module", [problem])


def _scope(case: Case) -> str:
    return _read(case.folder / SCOPE_FILE).strip() or "changes"


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _diff(case: Case, name: str, made: str) -> str:
    expected = _read(case.folder / name)
    lines = difflib.unified_diff(
        expected.splitlines(keepends=True), made.splitlines(keepends=True), f"{name} (expected)", f"{name} (made)"
    )
    return "".join(lines)
