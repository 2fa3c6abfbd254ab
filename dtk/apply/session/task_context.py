"""What all parts of a running task share."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from dtk.apply.reporting.redacted_log import Journal
from dtk.apply.reporting.redaction import Redactor
from dtk.apply.session.cancellation import Stopping
from dtk.apply.session.engine import Engine
from dtk.apply.session.node_session import NodeSession
from dtk.apply.session.secrets import resolve_secret
from dtk.errors import DtkError
from dtk.model.plan import Plan
from dtk.nodes.provider import Connection, NodeRecord, Provider, ServiceIdentity
from dtk.nodes.records import record_of
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.connect import Patience
from dtk.ssh.connections import Connections
from dtk.ssh.host_keys import KnownHosts, key_text
from dtk.state.identity import short_lineage
from dtk.state.model import State
from dtk.state.secret_digests import secret_digest, secret_key
from dtk.state.workspace import Workspace
from dtk.state.writer import StateStore
from dtk.store.errors import StoreError
from dtk.store.link import WorkerLink


@dataclass(frozen=True)
class TaskContext:
    """One task's plan, records and tools. ``sessions`` holds one session per node, created at its first use.

    ``in_doubt`` has the numbers of the steps whose effect is unknown. ``link`` is the connection to the process that
    ships the task to the shared store, None without a store. ``team_keys`` are the public keys that the target grants
    access, None if it has no such setting.
    """

    plan: Plan
    number: int
    workspace: Workspace
    store: StateStore
    journal: Journal
    redactor: Redactor
    stopping: Stopping
    engine: Engine
    provider: Provider
    identity: ServiceIdentity
    known_hosts: KnownHosts
    patience: Patience
    connections: Connections
    sessions: dict[str, NodeSession] = field(default_factory=dict)
    in_doubt: list[str] = field(default_factory=list)
    link: WorkerLink | None = None
    team_keys: tuple[str, ...] | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Seconds since the task started."""
        return round(time.monotonic() - self.began, 3)

    def change_state(self, *changes: Callable[[State], State]) -> None:
        """Change the state and write it to disk as one new version.

        Raises:
            RecordError: it can't be written, so the task must end.
        """
        with self._written_state():
            self.store.change(*changes)

    def write_snapshot(self) -> None:
        """Write the changes since the last snapshot to state.json.

        Raises:
            RecordError: it can't be written, so the task must end; no change is lost.
        """
        with self._written_state():
            self.store.write_snapshot()

    def may_not_start(self) -> bool:
        """Return whether no step may start: the task must end, or another holder may have the service by now."""
        if self.link is not None:
            with suppress(StoreError):
                self.link.check()
        return bool(self.stopping.reason)

    def await_commit(self) -> None:
        """Wait until the present state and log are in the shared store; do nothing without one.

        Called before actions that can't be repeated, so that a process that continues elsewhere knows of them.

        Raises:
            StoreError: they can't be stored, or another holder has the service.
        """
        if self.link is not None:
            self.link.barrier(self.store.state.serial, self._log_bytes())

    def settle(self) -> None:
        """Wait, for a limited time, until everything is in the shared store; if it fails, ``stopping.why`` says why."""
        if self.link is not None:
            self.link.settle(self.store.state.serial, self._log_bytes())

    def _log_bytes(self) -> int:
        return self.workspace.event_log(self.plan.service, self.number).stat().st_size

    @contextmanager
    def _written_state(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"the state of '{self.plan.service}' can't be written: {error.strerror or error}"
            raise self.journal.break_off(reason) from error

    def session(self, node: str) -> NodeSession:
        """Return a node's session; create it at its first use."""
        if node not in self.sessions:
            self.sessions[node] = NodeSession(
                node,
                lambda: self._connection(node),
                self.known_hosts,
                self.patience,
                self.redactor,
                self.connections,
            )
        return self.sessions[node]

    def _connection(self, node: str) -> Connection:
        state = self.store.state.nodes.get(node)
        if state is None or state.status != "running":
            raise DtkError(f"{node} does not run", hint=f"see: dtk list-nodes {self.plan.service}")
        record = record_of(node, state)
        if off := self.provider.why_off(self.identity, record):
            raise DtkError(off, hint=f"power it on: dtk start {self.plan.service} {node}")
        return self.provider.connection_to(record)

    def pinned_key(self, record: NodeRecord) -> str:
        """Return the pinned public host key of a machine, "" before first contact."""
        connection = self.provider.connection_to(record)
        pinned = self.known_hosts.pinned(host_entry(connection.hostname, connection.port))
        return key_text(pinned) if pinned else ""

    def drop_session(self, node: str) -> None:
        """Close a node's connection because the node goes away."""
        session = self.sessions.pop(node, None)
        if session is not None:
            session.close()

    def step_mark(self, step: str) -> str:
        """Return the prefix of the marks of a step's commands."""
        return self.mark(f"{self.number}-{step}")

    def mark(self, task_and_step: str) -> str:
        """Return the prefix of the marks of any task's step; ``3-5.1`` is step 5.1 of task 3."""
        return f"{self.lineage_shown}-{task_and_step}-"

    @property
    def lineage_shown(self) -> str:
        """The prefix of the marks of all tasks of this service."""
        return short_lineage(self.identity.lineage)

    def secret(self, reference: str) -> str:
        """Return the value of a secret."""
        return resolve_secret(reference, self.workspace.root)

    def secret_digests(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return the keyed digests of secret values, by reference; none if their key can't be stored."""
        if not values:
            return {}
        try:
            key = secret_key(self.workspace, self.plan.service)
        except OSError:
            return {}
        return {reference: secret_digest(key, reference, value) for reference, value in values.items()}

    def module_files(self, module: str) -> Path:
        """Return the folder with the copies of a module's files that were made with the plan."""
        return self.workspace.task_folder(self.plan.service, self.number) / "files" / module
