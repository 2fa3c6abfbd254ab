"""``dtk exec``: runs a workflow other than create, or one action of a component."""

from __future__ import annotations

import json
from pathlib import Path
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
    ValuesOption,
    VerboseOption,
    WorkersOption,
    seconds,
    worker_count,
)
from dtk.cli.running import changing, run_plan
from dtk.cli.task_files import TaskFiles, files_of_refusals
from dtk.dsl.build.workflow import as_text
from dtk.errors import UsageError
from dtk.model.json_data import Json
from dtk.model.names import CREATE
from dtk.model.written import as_written
from dtk.plan.compile import compile_plan
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import read_inputs
from dtk.service.staging import values_of
from dtk.state.workspace import Workspace

USAGE = "dtk exec [SERVICE] ACTION [k=v]…"
_CONVERGE = "converge"


def execute(  # noqa: PLR0913, PLR0917 - one parameter per option
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[SERVICE] ACTION [k=v]…", help="A workflow, or [NODE/]COMPONENT.ACTION; its parameters."
        ),
    ],
    values: ValuesOption = None,
    detach: DetachOption = False,
    workers: WorkersOption = "",
    lock_wait: LockWaitOption = "0s",
    output: LiveOutputOption = False,
    verbose: VerboseOption = 0,
    junit: JunitOption = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a workflow, or an action of a component.

    A workflow creates missing nodes; an action needs the nodes that it runs on. A component without an action
    converges it. Write each parameter as k=v; values from --values FILE come first.
    Example: dtk exec dask1 smoke_test
    """
    workspace = current_workspace()
    service, action, given = _read(workspace, words)
    parameters = {**(_of_file(values) if values else {}), **given}
    how = Following(
        detach=detach,
        document=as_json,
        output=output,
        verbosity=verbose,
        files=TaskFiles(junit, report),
    )
    how.check()
    workflow = CREATE if action == _CONVERGE else action
    command = f"dtk exec {service} {action}"
    with (
        files_of_refusals(how.files, service),
        changing(workspace, service, command, seconds(lock_wait), workers=worker_count(workers)) as change,
    ):
        inputs = read_inputs(workspace, service)
        change.refuse_unknown(inputs)
        plan = compile_plan(inputs.request(workflow, "all", parameters))
        run_plan(inputs, plan, change, how)


def _read(workspace: Workspace, words: list[str]) -> tuple[str, str, dict[str, str]]:
    """Split the words into service, action and parameters; the service may be omitted."""
    names = [word for word in words if "=" not in word]
    if len(names) not in (1, 2) or words[: len(names)] != names:
        raise UsageError(f"'{' '.join(words)}' is not a SERVICE, an ACTION and its parameters", hint=USAGE)
    *service, action = names
    parameters = dict(map(_parameter, words[len(names) :]))
    return chosen_service(workspace, service[0] if service else None), action, parameters


def _parameter(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    if not name.isidentifier():
        raise UsageError(f"'{word}' is not a parameter", hint="write each parameter as k=v")
    return name, value


def _of_file(file: Path) -> dict[str, str]:
    """Return the values in a file as they would be written on the command line."""
    return {name: value if isinstance(value, str) else _word(value) for name, value in values_of(file).items()}


def _word(value: Json) -> str:
    return json.dumps(as_written(value), ensure_ascii=False) if isinstance(value, (dict, list)) else as_text(value)
