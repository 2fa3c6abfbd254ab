"""Checks nodes: ``python -m dtk.refresh.dry_run_worker``; request on stdin, one finding per line on stdout.

When its standard input closes, its parent is gone: it then ends, and stops its commands on nodes.
"""

from __future__ import annotations

from dtk.ssh.cooperative import patch_standard_library

patch_standard_library()  # before the other imports

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import uuid  # noqa: E402
from collections.abc import Iterable, Iterator, Mapping  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from pathlib import Path  # noqa: E402

import gevent  # noqa: E402
from gevent.fileobject import FileObject  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from dtk.apply.items.action_run import Work  # noqa: E402
from dtk.apply.items.action_values import ActionValues  # noqa: E402
from dtk.apply.reporting.redaction import Redactor  # noqa: E402
from dtk.apply.session.engine import Engine  # noqa: E402
from dtk.apply.session.node_session import NodeSession  # noqa: E402
from dtk.apply.session.secrets import resolve_secret  # noqa: E402
from dtk.apply.worker import raise_file_limit  # noqa: E402
from dtk.errors import DtkError  # noqa: E402
from dtk.model.json_data import ReadOnlyJson  # noqa: E402
from dtk.model.names import CREATE  # noqa: E402
from dtk.model.plan import Finding  # noqa: E402
from dtk.model.planned_action import PlannedAction  # noqa: E402
from dtk.nodes.provider import Provider  # noqa: E402
from dtk.nodes.reach import SILENT_SECONDS  # noqa: E402
from dtk.nodes.records import record_of  # noqa: E402
from dtk.nodes.remembered_keys import state_keys  # noqa: E402
from dtk.nodes.targets import provider_for  # noqa: E402
from dtk.refresh.component_drift import drift_of  # noqa: E402
from dtk.refresh.dry_run_request import DryRunRequest, request_of, to_line  # noqa: E402
from dtk.refresh.read_only_session import ReadOnlyConnector  # noqa: E402
from dtk.ssh.connect import Patience  # noqa: E402
from dtk.ssh.connections import OwnConnections  # noqa: E402
from dtk.ssh.passphrases import unlock  # noqa: E402
from dtk.ssh.unchanged_hosts import UnchangedKnownHosts  # noqa: E402
from dtk.state.identity import short_lineage  # noqa: E402
from dtk.state.model import State  # noqa: E402
from dtk.state.store import load_state, new_state  # noqa: E402
from dtk.state.workspace import Workspace  # noqa: E402
from dtk.targets import planned_target  # noqa: E402

PATIENCE = Patience(overall=10.0, attempt=10.0, closed=2.0, silent=SILENT_SECONDS)
"""Short, because a running node answers at once; one that does not is reported instead of waited for."""
AT_ONCE = 100
ENDED = 1


class Silent:
    """Ignores all progress events of an item."""

    def retrying(self, attempt: int, attempts: int, delay: float, reason: str) -> None:
        """Ignore a retry; there are none here."""

    def waiting(self, reason: str) -> None:
        """Ignore a wait; nobody watches."""

    def operation(self, message: str, **fields: ReadOnlyJson) -> None:
        """Ignore an operation; none is done."""


@dataclass(frozen=True)
class Asking:
    """What the checks of all nodes share."""

    workspace: Workspace
    state: State
    engine: Engine
    redactor: Redactor
    modules: Mapping[str, Path]
    known_hosts: UnchangedKnownHosts
    provider: Provider

    def node(self, node: str, actions: list[PlannedAction]) -> None:
        """Report the findings about the components on one node."""
        record = record_of(node, self.state.nodes[node])
        session = NodeSession(
            node,
            lambda: self.provider.connection_to(record),
            self.known_hosts,
            PATIENCE,
            self.redactor,
            OwnConnections(),
        )
        session.begin_step(None, f"{short_lineage(self.state.lineage)}-refresh-{uuid.uuid4().hex[:8]}-")
        try:
            session.connect()
            for action in actions:
                self._send(self._found(session, action))
        except gevent.GreenletExit:
            session.end_step_processes()
            raise
        except DtkError as error:
            self._send([Finding(node, "unreachable", self.redactor.text(error.message))])
        finally:
            session.close()

    def _found(self, session: NodeSession, action: PlannedAction) -> Iterator[Finding]:
        files = self.modules[action.module]
        try:
            values = ActionValues(action, self.state, self._secret, self.redactor, files)
        except DtkError as error:
            yield Finding(action.node, "unchecked", self.redactor.text(error.message), action.component, "values")
            return
        host = self.engine.host(session)
        host.connector = ReadOnlyConnector(host)
        yield from drift_of(Work(action, session, host, Silent(), values, files), self.redactor)

    def _secret(self, reference: str) -> str:
        return resolve_secret(reference, self.workspace.root)

    def _send(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            sys.stdout.write(to_line(finding))
            sys.stdout.flush()


def main() -> int:
    """Check all nodes of the request in parallel; return 0 if all were checked."""
    os.umask(0o077)
    raise_file_limit()
    source = FileObject(sys.stdin.fileno(), "rb", closefd=False)
    request = request_of(source.readline())
    unlock(request.passphrases)
    actions = _actions(request)
    pool = Pool(AT_ONCE)
    # The parent may be killed at any time; the end of its pipe also ends what runs on nodes.
    watching = gevent.spawn(_end_with, source, pool)
    gevent.signal_handler(signal.SIGTERM, pool.kill, block=False)
    asking = _asking(request, list(actions))
    with asking.engine.running():
        asked = [pool.spawn(asking.node, node, one) for node, one in actions.items()]
        pool.join()
    watching.kill()
    failed = next((one.exception for one in asked if one.exception is not None), None)
    if failed is not None:
        raise DtkError(asking.redactor.text(f"{type(failed).__name__}: {failed}"))
    return 0 if all(one.successful() and one.value is None for one in asked) else ENDED


def _end_with(source: FileObject, pool: Pool) -> None:
    while source.read(1024):
        pass
    pool.kill()


def _actions(request: DryRunRequest) -> dict[str, list[PlannedAction]]:
    """Return the create actions to check, by node, in the plan's order; each only once."""
    asked = set(request.components)
    found: dict[str, list[PlannedAction]] = {}
    for leaf in request.plan.leaves():
        for action in leaf.actions:
            key = (action.node, action.component)
            if action.action == CREATE and key in asked:
                asked.discard(key)
                found.setdefault(action.node, []).append(action)
    return found


def _asking(request: DryRunRequest, nodes: list[str]) -> Asking:
    workspace, service = Workspace(Path(request.workspace)), request.plan.service
    redactor = Redactor()
    state = load_state(workspace.state_file(service)) or new_state(service)
    provider = provider_for(planned_target(request.plan.target), workspace)
    known_hosts = UnchangedKnownHosts(workspace.known_hosts(service))
    known_hosts.take_over(state_keys(provider, state))
    return Asking(
        workspace,
        state,
        Engine(nodes, redactor.holds_secret),
        redactor,
        {name: Path(folder) for name, folder in request.modules.items()},
        known_hosts,
        provider,
    )


if __name__ == "__main__":
    sys.exit(main())
