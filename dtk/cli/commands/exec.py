"""``dtk exec``: runs a workflow other than create, or one action of a component."""

from __future__ import annotations

from typing import Annotated

import typer

from dtk.cli.following import Following
from dtk.cli.options import (
    DetachOption,
    JsonOption,
    JunitOption,
    LiveOutputOption,
    LockWaitOption,
    ReportOption,
    seconds,
)
from dtk.cli.running import changing, run_plan
from dtk.cli.task_files import TaskFiles, files_of_refusals
from dtk.dsl.build.workflow import parse_parameters
from dtk.errors import UsageError
from dtk.model.names import CREATE
from dtk.plan.compile import compile_plan
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import read_inputs
from dtk.state.workspace import Workspace

USAGE = "dtk exec [SERVICE] ACTION [k=v]…"
_CONVERGE = "converge"


def execute(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[SERVICE] ACTION [k=v]…", help="A workflow, or [NODE/]COMPONENT.ACTION; its parameters."
        ),
    ],
    detach: DetachOption = False,
    lock_wait: LockWaitOption = "0s",
    output: LiveOutputOption = False,
    junit: JunitOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a workflow, or an action of a component.

    A workflow makes the nodes that are missing; an action needs those it runs on. A component without an action
    converges it. Parameters may also be written as one word, k=v,k2=v2.
    Example: dtk exec dask1 smoke_test
    """
    workspace = current_workspace()
    service, action, parameters = _read(workspace, words)
    how = Following(detach=detach, document=as_json, output=output, files=TaskFiles(junit, report))
    how.check()
    workflow = CREATE if action == _CONVERGE else action
    command = f"dtk exec {service} {action}"
    with files_of_refusals(how.files, service), changing(workspace, service, command, seconds(lock_wait)) as change:
        inputs = read_inputs(workspace, service)
        change.refuse_unknown(inputs)
        plan = compile_plan(inputs.request(workflow, "all", parameters))
        run_plan(inputs, plan, change, how)


def _read(workspace: Workspace, words: list[str]) -> tuple[str, str, dict[str, str]]:
    """Split what was typed into service, action and parameters; the service may be left out."""
    names = [word for word in words if "=" not in word]
    if len(names) not in (1, 2) or words[: len(names)] != names:
        raise UsageError(f"'{' '.join(words)}' is not a SERVICE, an ACTION and its parameters", hint=USAGE)
    *service, action = names
    parameters: dict[str, str] = {}
    for word in words[len(names) :]:
        parameters |= _parameters(word)
    return chosen_service(workspace, service[0] if service else None), action, parameters


def _parameters(word: str) -> dict[str, str]:
    """Read ``k=v``, whose value may hold anything, or the original's ``k=v,k2=v2``."""
    try:
        return parse_parameters(word)
    except ValueError:
        name, _, value = word.partition("=")
        if not name.isidentifier():
            raise UsageError(f"'{word}' is not a parameter", hint="write k=v") from None
        return {name: value}
