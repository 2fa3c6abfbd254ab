"""The process of one task: ``python -m dtk.apply.worker TASK_FOLDER LOCK COMMAND EXECUTOR [LINK]``.

LOCK and LINK are descriptors; EXECUTOR says where the processes run that hold connections (dtk.model.executor).

A worker started before its task is known has the arguments ``TASKS_FOLDER SOCKET_DESCRIPTOR`` (dtk.apply.worker_ahead).
"""

from __future__ import annotations

from dtk.ssh.cooperative import patch_standard_library

patch_standard_library()  # before the other imports

import gc  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import resource  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from contextlib import suppress  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402

from dtk.apply.disk_thread import sync_in_thread  # noqa: E402
from dtk.apply.nodes.team_keys import read_team_keys  # noqa: E402
from dtk.apply.removal import remove_service  # noqa: E402
from dtk.apply.reporting.redacted_log import Journal, RecordError  # noqa: E402
from dtk.apply.reporting.redaction import Redactor  # noqa: E402
from dtk.apply.session.cancellation import Stopping  # noqa: E402
from dtk.apply.session.engine import Engine  # noqa: E402
from dtk.apply.session.task_context import TaskContext  # noqa: E402
from dtk.apply.task import EXIT_CODES, abandon, run_task  # noqa: E402
from dtk.apply.task_folder import PLAN_FILE, WORKER_LOG  # noqa: E402
from dtk.apply.worker_ahead import CANCEL_SIGNALS, wait_for_task  # noqa: E402
from dtk.errors import DtkError, LockedError, refused_by_machine  # noqa: E402
from dtk.events.log import EventLog  # noqa: E402
from dtk.model import settings  # noqa: E402
from dtk.model.executor import from_word  # noqa: E402
from dtk.model.names import ASSEMBLY_WIDE  # noqa: E402
from dtk.model.plan import Plan  # noqa: E402
from dtk.nodes import targets  # noqa: E402
from dtk.nodes.provider import ServiceIdentity  # noqa: E402
from dtk.nodes.remembered_keys import state_keys  # noqa: E402
from dtk.plan.document import from_text  # noqa: E402
from dtk.ssh.asking import KeptConnections, ask_all  # noqa: E402
from dtk.ssh.connect import Patience  # noqa: E402
from dtk.ssh.connections import Connections  # noqa: E402
from dtk.ssh.host_keys import KnownHosts  # noqa: E402
from dtk.ssh.passphrases import unlock_from  # noqa: E402
from dtk.ssh.question import read_question  # noqa: E402
from dtk.ssh.shards.connections import connections_for  # noqa: E402
from dtk.state.lock import adopt, this_process  # noqa: E402
from dtk.state.store import load_state  # noqa: E402
from dtk.state.workspace import Workspace  # noqa: E402
from dtk.state.writer import StateStore  # noqa: E402
from dtk.store.errors import StoreError  # noqa: E402
from dtk.store.link import StopReason, WorkerLink  # noqa: E402
from dtk.targets import planned_target  # noqa: E402

_WORDS_AHEAD = 2
MOST_FILES = 65536
"""Number of open files to request: a node needs about four. macOS rejects a request for an unlimited number."""


def main(arguments: list[str]) -> int:
    """Run the task of a folder; return its exit code.

    The exit codes, from docs/architecture.md: 0 done, 1 failed, 4 superseded by another holder, 6 cancelled.
    """
    kept = KeptConnections()
    if len(arguments) == _WORDS_AHEAD:
        arguments = wait_for_task(int(arguments[1]), partial(_answer, kept))
        if not arguments:
            return 0
    unlock_from(sys.stdin.fileno())
    folder, descriptor, command = Path(arguments[0]), int(arguments[1]), arguments[2]
    executor = from_word(arguments[3])
    workspace = Workspace(folder.parents[4])
    number, service = int(folder.name), folder.parents[1].name
    os.umask(0o077)
    try:
        lock = adopt(workspace.service_folder(service), descriptor)
    except LockedError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    lock.name_holder(this_process(f"{command} (task {number})", number, lock.author()))
    raise_file_limit()
    redactor, stopping = Redactor(), Stopping()
    link = link_to_shipper(int(arguments[4]), stopping) if len(arguments) > 4 else None
    with EventLog(workspace.event_log(service, number), sync=sync_in_thread) as log:
        journal = Journal(log, redactor, lambda: stopping.stop("failed"))
        try:
            text = (folder / PLAN_FILE).read_text(encoding="utf-8")
            plan = from_text(text, str(folder / PLAN_FILE), is_of_task=True)
            connections = connections_for(len(_nodes_of(plan)), executor, str(folder), kept)
            context = make_context(folder, plan, journal, redactor, stopping, connections, link)
            context.provider.rely_on(kept.has)
            handle_signals(context)
            status = run_task(context)
        except Exception as error:
            refused = refused_by_machine(error)
            if refused is None:
                sys.stderr.write(redactor.text(traceback.format_exc()))
            _close_failed(journal, folder, refused or error)
            return _end_in_store(link, EXIT_CODES["failed"])
    context.known_hosts.note(state_keys(context.provider, context.store.state))
    is_gone = status == "succeeded" and plan.destroys and not context.store.state.nodes
    code = _end_in_store(link, EXIT_CODES[status], destroyed=is_gone)
    if is_gone and code == EXIT_CODES["succeeded"]:
        remove_service(workspace, service)
    return code


def _answer(kept: KeptConnections, question: str) -> str:
    """Return the answers of machines to a question, as JSON; keep the connections to them."""
    return json.dumps(ask_all(read_question(question), kept))


def link_to_shipper(descriptor: int, stopping: Stopping) -> WorkerLink:
    """Return the worker's end of the connection to the shipper process; a stop message from it ends the task."""

    def on_stop(why: str, kind: StopReason) -> None:
        if kind == "fenced":
            # Another holder works on the nodes, or soon will: what this task runs there must end.
            stopping.stop("failed", why)
        else:
            stopping.start_nothing(why)

    return WorkerLink(socket.socket(fileno=descriptor), on_stop)


def _end_in_store(link: WorkerLink | None, code: int, *, destroyed: bool = False) -> int:
    """Wait until the task's end is in the store and the service is released; return the exit code."""
    if link is None:
        return code
    try:
        link.end(destroyed=destroyed)
    except StoreError as error:
        sys.stderr.write(f"{error.message}\n")
        return LockedError.exit_code if link.is_fenced else code or EXIT_CODES["failed"]
    return code


def _close_failed(journal: Journal, folder: Path, error: Exception) -> None:
    """Write the end of a task that dtk itself could not run, so that it never ends without a record."""
    fields = {"message": f"{type(error).__name__}: {error}; for details, see {folder / WORKER_LOG}", "type": "SERVER"}
    if isinstance(error, DtkError):
        fields["message"] = f"{error.message} ({error.hint})" if error.hint else error.message
    journal.append("task.finished", fields["message"], status="failed", seconds=0.0, error=fields)


def raise_file_limit() -> None:
    """Raise this process's limit of open files as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def make_context(
    task_folder: Path,
    plan: Plan,
    journal: Journal,
    redactor: Redactor,
    stopping: Stopping,
    connections: Connections,
    link: WorkerLink | None = None,
) -> TaskContext:
    """Return the task of a folder with all its tools, without open connections."""
    workspace, number = Workspace(task_folder.parents[4]), int(task_folder.name)
    folder = workspace.service_folder(plan.service)
    state_file = workspace.state_file(plan.service)
    state = load_state(state_file)
    if state is None:
        raise DtkError(f"{state_file} was removed after the task was started")
    target = planned_target(plan.target)
    provider, known_hosts = targets.provider_for(target, workspace), KnownHosts(workspace.known_hosts(plan.service))
    known_hosts.take_over(state_keys(provider, state))
    return TaskContext(
        plan=plan,
        number=number,
        workspace=workspace,
        store=StateStore(state_file, state, sync=sync_in_thread),
        journal=journal,
        redactor=redactor,
        stopping=stopping,
        engine=Engine(sorted(_nodes_of(plan)), redactor.holds_secret),
        provider=provider,
        identity=ServiceIdentity(plan.service, state.lineage, folder, number, plan.workspace, state.origin),
        known_hosts=known_hosts,
        patience=Patience(overall=settings.number(target.settings, "connect_timeout", Patience.overall)),
        connections=connections,
        link=link,
        team_keys=read_team_keys(target, workspace.root),
    )


def _nodes_of(plan: Plan) -> set[str]:
    return {leaf.node for leaf in plan.leaves()} - {ASSEMBLY_WIDE}


def handle_signals(context: TaskContext) -> None:
    """Cancel at the first TERM or INT, stop at once at the second. Ignore the terminal's hangup.

    After the task's end, only the upload of the end to a store is left to stop.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    heard: list[str] = []

    def cancel(name: str) -> None:
        # First, since the log's lines wait for the disk: meanwhile a second signal may arrive.
        heard.append(name)
        if not context.journal.is_ended:
            _stop(context, name, again=len(heard) > 1)
        elif context.link is not None and len(heard) > 1:
            os._exit(EXIT_CODES["failed"])

    for one in CANCEL_SIGNALS:
        gevent.signal_handler(one, cancel, one.name)
    # The process that started this one had blocked them until now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, CANCEL_SIGNALS)


def _stop(context: TaskContext, name: str, *, again: bool) -> None:
    if again:
        # The end of a task that succeeded is not in the store.
        os._exit(EXIT_CODES[abandon(context)] or EXIT_CODES["failed"])
    context.stopping.stop("cancelled")
    # A log that can't be written has ended the task already; an error would end this process, not only the signal.
    with suppress(RecordError):
        context.journal.append("task.cancelling", f"the task is cancelled ({name})", by=name)


if __name__ == "__main__":
    code = main(sys.argv[1:])
    gc.freeze()  # nothing is garbage that Python should look for at its end
    sys.exit(code)
