"""Compiler cases: each folder in tests/plans is one case; to add a case, add a folder.

    tests/plans/NAME/dtk.module.yaml   the module, acme/NAME
                     service.yaml      desired state
                     dtk.yaml          its targets (optional)
                     before.yaml       desired state as it was applied before (optional): produces state.json
                     state.json        what was applied (optional)
                     scope             all, resume, destroy or "exec ACTION k=v …" instead of changes (optional)
                     plan.json         expected plan, byte for byte; plan.txt is the same plan as text for people
                     error.txt         expected error instead of a plan

To rewrite the expected files, for review in the diff: python -m tests.plan.cases [NAME …]
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dtk.dsl.module import load_module
from dtk.dsl.service import load_service
from dtk.dsl.workspace import load_workspace
from dtk.errors import DtkError
from dtk.model.plan import Plan
from dtk.plan.compile import compile_plan
from dtk.plan.destroy import destroy_plan
from dtk.plan.document import to_text
from dtk.plan.resolve.request import PlanRequest, Scope
from dtk.plan.simulation import applied
from dtk.state.model import State
from dtk.state.store import load_state, save_state
from dtk.targets import EMBEDDED
from dtk.views.plan_text import plan_text

_COPIES = tempfile.TemporaryDirectory(prefix="dtk-plan-cases-")
FOLDER = Path(__file__).resolve().parents[1] / "plans"


def names() -> list[str]:
    return sorted(path.name for path in FOLDER.iterdir() if (path / "dtk.module.yaml").exists())


def request(case: Path, service: str = "service.yaml") -> PlanRequest:
    folder = _copied(case)
    module = load_module(folder, folder)
    state = load_state(case / "state.json") or State(case.name, "")
    scope: Scope = "changes"
    if word(case) in ("all", "resume"):
        scope = word(case)  # type: ignore[assignment]
    desired = load_service(case / service, case)
    targets = load_workspace(case / "dtk.yaml", case) if (case / "dtk.yaml").exists() else None
    target = targets.target(desired.target) if targets else EMBEDDED
    request = PlanRequest(desired, {module.name: module}, {}, state, target, scope=scope)
    verb, *words = word(case).split()
    if verb != "exec" or service != "service.yaml":
        return request
    given = dict(pair.split("=", 1) for pair in words[1:])
    return replace(request, workflow=words[0], parameters=given, scope="all")


def _copied(case: Path) -> Path:
    """Return a copy of the case's module alone: its digest must not cover the expected files."""
    folder = Path(tempfile.mkdtemp(dir=_COPIES.name))
    shutil.copy(case / "dtk.module.yaml", folder)
    if (case / "files").is_dir():
        shutil.copytree(case / "files", folder / "files")
    return folder


def word(case: Path) -> str:
    return (case / "scope").read_text().strip() if (case / "scope").exists() else "changes"


def planned(case: Path) -> Plan:
    plan_request = request(case)
    return destroy_plan(plan_request, force=False) if word(case) == "destroy" else compile_plan(plan_request)


def produced(case: Path) -> dict[str, str]:
    """Return the expected files that a case's input produces, by name."""
    try:
        plan = planned(case)
    except DtkError as error:
        return {"error.txt": f"{error}\n"}
    return {"plan.json": to_text(plan), "plan.txt": plan_text(plan)}


def rewrite(case: Path) -> Iterator[str]:
    for name in ("plan.json", "plan.txt", "error.txt"):
        (case / name).unlink(missing_ok=True)
    if (case / "before.yaml").exists():
        (case / "state.json").unlink(missing_ok=True)
        before = request(case, "before.yaml")
        save_state(
            case / "state.json",
            applied(compile_plan(PlanRequest(**{**vars(before), "scope": "changes"})), before.state),
        )
        (case / "state.json").chmod(0o644)
    for name, text in produced(case).items():
        (case / name).write_text(text)
        yield name


if __name__ == "__main__":
    for chosen in sys.argv[1:] or names():
        print(chosen, *rewrite(FOLDER / chosen))  # noqa: T201
