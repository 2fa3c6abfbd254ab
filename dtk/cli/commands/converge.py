"""``dtk converge``: plans and applies every stage, changed or not."""

from __future__ import annotations

import sys

from dtk.cli.following import Following
from dtk.cli.options import (
    DetachOption,
    JunitOption,
    LiveOutputOption,
    LockWaitOption,
    ReportOption,
    ServiceArgument,
    VerboseOption,
    WorkersOption,
    YesOption,
    seconds,
    worker_count,
)
from dtk.cli.running import changing, confirm, run_plan, show_and_ask
from dtk.cli.task_files import TaskFiles, files_of_refusals
from dtk.model.plan import GOING
from dtk.service.context import chosen_service, current_workspace
from dtk.service.planning import make_plan


def converge(  # noqa: PLR0913, PLR0917 - one parameter per option
    service: ServiceArgument = None,
    yes: YesOption = False,
    detach: DetachOption = False,
    workers: WorkersOption = "",
    lock_wait: LockWaitOption = "0s",
    output: LiveOutputOption = False,
    verbose: VerboseOption = 0,
    junit: JunitOption = None,
    report: ReportOption = None,
) -> None:
    """Plan and apply every stage, changed or not.

    Asks only before it terminates or resizes nodes and, at a terminal, before it starts stopped ones.
    Example: dtk converge dask1
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    how = Following(detach=detach, output=output, verbosity=verbose, files=TaskFiles(junit, report))
    how.check()
    with (
        files_of_refusals(how.files, name),
        changing(
            workspace,
            name,
            f"dtk converge {name}",
            seconds(lock_wait),
            is_sure=True,
            workers=worker_count(workers),
        ) as change,
    ):
        plan, inputs = make_plan(workspace, name, scope="all", asks_target=True)
        change.refuse_unknown(inputs, strict=False)
        if any(one.change in (*GOING, "resize") for one in plan.nodes):
            show_and_ask(plan, ask=not yes)
        # The original asked, too (docs/original.md 2.2); a script that converges wants its nodes started.
        elif not yes and sys.stdin.isatty() and any(one.change == "start" for one in plan.nodes):
            confirm("Workspace service is stopped, do you want to start it?")
        run_plan(inputs, plan, change, how)
