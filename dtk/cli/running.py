"""Starts a task and follows it; shared by apply, converge, deploy and delete-and-destroy."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import FrameType

import typer

from dtk.apply.cancel import cancel_task
from dtk.apply.launch import StartedTask, start_task
from dtk.apply.task_folder import WORKER_LOG
from dtk.apply.worker_ahead import CANCEL_SIGNALS, WorkerAhead, worker_ahead
from dtk.cli.early_worker import take_early
from dtk.cli.following import Following, follow_task
from dtk.cli.forge import summarize
from dtk.cli.output import print_json, says_yes, use_color
from dtk.cli.passphrases import ask_passphrases_for
from dtk.cli.task_files import nothing_done
from dtk.errors import DtkError, InvalidError, UsageError
from dtk.model.plan import Plan
from dtk.model.settings import text
from dtk.plan.diff.steps import MACHINE_STEPS
from dtk.service.holding import Holding, holding
from dtk.service.identity import FoundIdentity, write_identity
from dtk.service.machine_inputs import read_machine_inputs
from dtk.service.open_end import finishes_last_task
from dtk.service.planning import Inputs, check_plan
from dtk.state.workspace import Workspace
from dtk.views.formatting import long_duration
from dtk.views.plan_markdown import plan_markdown
from dtk.views.plan_text import plan_text

WORKER_END_SECONDS = 60.0
"""How long a worker may take to exit after its task has ended, in seconds."""


@dataclass(frozen=True)
class Change(Holding):
    """A service held to be changed.

    ``ahead`` is a worker started early that waits for its task, or None. ``workers`` is the number of processes that
    the command line asks for, None if it does not say.
    """

    ahead: WorkerAhead | None = None
    workers: int | None = None

    def start(self, inputs: Inputs, plan: Plan) -> StartedTask:
        """Start a plan's task, whose own processes hold the service from then on."""
        executor = inputs.executor if self.workers is None else replace(inputs.executor, workers=self.workers)
        return start_task(
            inputs.workspace,
            plan,
            lock=self.lock,
            modules=inputs.folders(),
            shared=self.shared,
            ahead=self.ahead,
            executor=executor,
        )

    def refuse_unknown(self, inputs: Inputs, *, strict: bool = True) -> None:
        """Refuse to continue if the service has machines although this folder knows none.

        Args:
            inputs: the service.
            strict: whether machines that can't be queried are an error instead of a warning.

        Raises:
            UnknownMachinesError: there are such machines.
            DtkError: the target can't be queried.
        """
        from dtk.service.unknown_machines import ServiceOnTarget, refuse_unknown  # noqa: PLC0415 - queries a target

        ask_passphrases_for(inputs)
        service_target = ServiceOnTarget(inputs.workspace, inputs.service.name, self.found, inputs.target)
        warn = None if strict else lambda text: typer.echo(f"warning: {text}", err=True)
        refuse_unknown(service_target, inputs.state, warn, self.ahead)


def confirm(question: str) -> None:
    """Ask a yes-or-no question; any answer but yes ends the command.

    Raises:
        UsageError: there is no terminal to ask.
    """
    # In a CI job, a question would wait forever, and no answer must never count as yes.
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Cannot ask: there is no terminal.", hint="use --yes")
    if not says_yes(question):
        typer.echo("Nothing was done.")
        raise typer.Exit(0)


def warn_of_mistake(mistake: InvalidError, done: str) -> None:
    """Warn about an error in a service's files that does not prevent its machines from being powered or terminated."""
    first = "".join(f": {problem}" for problem in mistake.problems[:1])
    typer.echo(f"warning: {mistake.message}{first} (dtk validate); its machines are {done} anyway", err=True)


def read_ending_inputs(workspace: Workspace, name: str, command: str, *, force: bool) -> Inputs:
    """Read a service whose nodes are to be terminated; with ``force``, even if its files are invalid.

    Only delete actions need more than its state.

    Raises:
        InvalidError: a file is invalid, and the delete actions should run.
    """
    inputs, invalid = read_machine_inputs(workspace, name)
    if invalid and not force:
        hint = f"to terminate its nodes without running delete actions: {command} {name} --force"
        raise InvalidError(invalid.message, invalid.problems, hint=hint)
    if invalid:
        warn_of_mistake(invalid, "terminated")
    return inputs


def show_and_ask(plan: Plan, *, ask: bool, is_shown: bool = True) -> None:
    """Print a plan that is not empty and, if ``ask`` is set, ask whether to apply it."""
    if plan.is_empty:
        return
    summarize(lambda: plan_markdown(plan))
    if is_shown:
        typer.echo(plan_text(plan, color=use_color()))
    if ask:
        confirm("Apply this plan?")


@contextmanager
def changing(
    workspace: Workspace,
    service: str,
    command: str,
    lock_wait: float,
    found: FoundIdentity | None = None,
    *,
    is_sure: bool = False,
    workers: int | None = None,
) -> Iterator[Change]:
    """Hold a service's lock while its plan is made and its task is started.

    A command that waits for the lock therefore plans with what the previous task left. On an error, the lock is
    released, because in the shell this process continues.

    Args:
        workspace: the workspace.
        service: the name of the service.
        command: the command that holds the service, as people type it.
        lock_wait: how long to wait for another holder, in seconds.
        found: the ids of the service if its files do not have them.
        is_sure: whether a task will most likely start: then its worker is started while the plan is made.
        workers: how many processes hold the connections to nodes, 0 for auto; None for what dtk.yaml says.

    Raises:
        LockedError: another process holds the service for longer than that, here or elsewhere.
        InvalidError: the service's files are invalid.
        StoreError: the store is unreachable or refuses the request.
    """
    with (
        holding(workspace, service, command, lock_wait, found) as held,
        # With a store, the worker needs a socket to its shipper from its start, so it can't be started ahead.
        worker_ahead(
            workspace, service, take_early(workspace, service), wanted=is_sure and held.shared is None
        ) as ahead,
    ):
        yield Change(held.lock, held.found, held.shared, ahead, workers)


def run_plan(inputs: Inputs, plan: Plan, change: Change, how: Following, *, resumes: bool = False) -> None:
    """Start a plan's task and follow it to its end, or leave it running.

    Args:
        inputs: the service.
        plan: the plan to apply.
        change: the held service.
        how: what is printed and written about the task.
        resumes: whether the plan was requested as the rest of the last task.

    Raises:
        typer.Exit: with the task's exit code.
    """
    # Before the task starts: a machine must not carry an id that no committed file will ever have.
    for file in write_identity(inputs.workspace, plan.service, change.found):
        typer.echo(f"{file} now has an id that identifies it in every clone: commit it", err=True)
    is_done = plan.is_empty and not plan.destroys
    if is_done and not finishes_last_task(inputs.workspace, plan, resumes=resumes):
        typer.echo(plan_text(plan), nl=False, err=how.is_data)
        how.files.write(nothing_done(plan.service), inputs.workspace)
        summarize(lambda: plan_markdown(plan))
        return
    check_plan(plan, inputs)
    ids = change.found.identity
    owned = replace(plan, lineage=plan.lineage or ids.service, workspace=plan.workspace or ids.workspace)
    _ask_before_task(inputs, owned)
    # Signals that arrive while the worker starts are for the task: block them until they can be forwarded.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, CANCEL_SIGNALS)
    try:
        started = change.start(inputs, owned)
        _warn_of_early_ends(change, inputs, started)
        if how.detach and how.is_data:
            print_json({"service": plan.service, "task": started.number})
            return
        if how.detach:
            typer.echo(f"task_id: {started.number}")
            typer.echo(f"next: dtk task-status {plan.service} --wait")
            return
        # Handlers first, then the mask: a blocked signal must be delivered to a handler that cancels the task.
        with _signals_cancel(inputs.workspace, plan.service, started.number) as signalled:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            code = follow_task(inputs, started.number, how)
            if change.shared is not None:
                code = _end_in_store(started, code)
            elif signalled or plan.destroys:
                _await_exit(started)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    raise typer.Exit(code)


def _ask_before_task(inputs: Inputs, plan: Plan) -> None:
    _resolve_credentials(inputs, plan)
    ask_passphrases_for(inputs)


def _resolve_credentials(inputs: Inputs, plan: Plan) -> None:
    """Ask for an MFA code now if one is needed: a task's worker has no terminal.

    Raises:
        DtkError: there are no credentials, and the task creates, starts, stops or terminates machines.
    """
    if inputs.target.description.region(inputs.target) is None:
        return
    from dtk.nodes.targets import provider_for  # noqa: PLC0415 - loads the target's own library

    try:
        provider_for(inputs.target, inputs.workspace).resolve_credentials()
    except DtkError:
        if any(leaf.type in MACHINE_STEPS for leaf in plan.leaves()):
            raise


def _warn_of_early_ends(change: Change, inputs: Inputs, started: StartedTask) -> None:
    if change.shared is not None and change.shared.settings.type == "s3":
        _warn_of_early_end(change.shared.settings.profile, "the store", inputs, started)
    if inputs.target.description.region(inputs.target) is not None:
        profile = text(inputs.target.settings, "profile")
        _warn_of_early_end(profile, f"target '{inputs.target.name}'", inputs, started)


def _warn_of_early_end(profile: str, of: str, inputs: Inputs, started: StartedTask) -> None:
    from dtk.service.credentials_end import early_end  # noqa: PLC0415 - only if there are credentials

    found = early_end(profile, inputs.workspace.event_log(inputs.service.name, started.number))
    if found is not None:
        left, expected = (long_duration(seconds) for seconds in found)
        typer.echo(
            f"warning: the credentials for {of} expire in {left}; tasks like this took {expected}."
            " Unless they are renewed, the task stops before they expire, and fails",
            err=True,
        )


def _await_exit(started: StartedTask) -> None:
    """Wait until a worker has exited: after its task's last event, it removes the files of a destroyed service.

    The sender of a signal may end everything else, such as a container or a CI job, as soon as this process exits.
    """
    with suppress(subprocess.TimeoutExpired):
        started.process.wait(WORKER_END_SECONDS)


def _end_in_store(started: StartedTask, code: int) -> int:
    """Wait until a task's end is in the shared store (a CI job's container ends with this process); return its code."""
    ended = started.process.wait()
    if ended != code:
        log = started.folder / WORKER_LOG
        typer.echo(f"the end of task {started.number} was not written to the store; see {log}", err=True)
    return ended


@contextmanager
def _signals_cancel(workspace: Workspace, service: str, number: int) -> Iterator[list[int]]:
    """Cancel the followed task on the first ^C or SIGTERM, and stop it at once on the second; keep following it.

    Yields:
        The list of received signals, which grows.
    """
    signalled: list[int] = []

    def on_signal(signalled_by: int, _frame: FrameType | None) -> None:
        again = "^C again" if signalled_by == signal.SIGINT else "another signal"
        typer.echo(f"\ncancelling the task; {again} stops it at once", err=True)
        signalled.append(signalled_by)
        # The task may have ended meanwhile; then there is nothing to cancel.
        with suppress(DtkError):
            cancel_task(workspace, service, number)

    before = {one: signal.signal(one, on_signal) for one in CANCEL_SIGNALS}
    try:
        yield signalled
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
