"""Creates, starts, stops and terminates nodes: one provider call per stage and kind of step, reported per node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial, reduce

import gevent
from gevent.event import AsyncResult

from dtk.apply.nodes.facts import are_known, facts_in, node_facts
from dtk.apply.nodes.first_boot import FirstBoot, MachineClaim, await_first_boot
from dtk.apply.nodes.membership import deregister, note_membership, register
from dtk.apply.reporting.failure import StepStopped
from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.node_session import NodeSession, Prepared
from dtk.apply.session.task_context import TaskContext
from dtk.errors import DtkError
from dtk.model.plan import ENDING_STEPS, GOING, Step, StepType
from dtk.model.target import RESERVED
from dtk.nodes.provider import Connection, MachineChange, NodeRecord, NodeRequest, RestartedError
from dtk.nodes.records import HOST_KEY, record_of, state_of
from dtk.nodes.remembered_keys import host_entry
from dtk.ssh.host_keys import key_text
from dtk.state import changes
from dtk.state.model import NodeState, State

CHANGES: dict[StepType, str] = {
    "create_node": "created",
    "power_on_node": "started",
    "power_off_node": "stopped",
    "terminate_node": "terminated",
    "release_node": "released",
    "modify_volumes": "modified",
    "resize_node": "resized",
    "register_node": "registered",
    "deregister_node": "deregistered",
}
_MET = ("create_node", "power_on_node", "resize_node")
"""After these steps the machine runs, possibly at a new address."""
_MEMBERSHIP = ("register_node", "deregister_node")

UNCLAIM_SECONDS = 10.0
"""Time limit in seconds for removing the service's mark from a machine that is released."""


class MachineBatch:
    """The steps of one kind in a stage. The provider is called once all of them are recorded as started."""

    def __init__(self, context: TaskContext, steps: Sequence[Step]) -> None:
        self._context = context
        self._steps: list[Step] = []
        self._awaited = {step.node for step in steps}
        self._results: dict[str, AsyncResult] = {step.node: AsyncResult() for step in steps}

    def run(self, step: Step, reporter: StepReporter) -> bool:
        """Do one step's part; return True, since it always changes something.

        Raises:
            DtkError: it failed for this node.
        """
        self._steps.append(step)
        self.leave(step)
        reporter.waiting(f"waiting for the target to have {step.node} {CHANGES[step.type]}")
        # The provider finds a half-created machine again; one without a record would cost money unnoticed.
        with self._context.stopping.shielded():
            try:
                record = self._results[step.node].get()
            except RestartedError as error:
                self._note(step.type, error.record, "started")
                raise
            if step.type in _MEMBERSHIP:
                groups = step.target_groups if step.type == "register_node" else ()
                note_membership(self._context, step, groups, CHANGES[step.type])
                return True
            self._note(step.type, record)
        if step.type in _MET:
            session = self._context.session(step.node)
            session.begin_step(reporter, self._context.step_mark(step.number))
            known = dict(record.attributes)
            if step.type == "create_node" and not are_known(known):
                facts = facts_in(self._boot(step, record, session, reporter).facts, step.node, known)
            else:
                session.connect(is_new=True)
                if step.type == "create_node":
                    self._claim(step, session)
                facts = node_facts(session, known)
            attributes = {**facts, **self._pinned_key(record)}
            met = state_of(replace(record, attributes=attributes))
            self._context.change_state(lambda state: changes.with_node(state, step.node, met))
        return True

    def _boot(self, step: Step, record: NodeRecord, session: NodeSession, reporter: StepReporter) -> FirstBoot:
        """Connect to a new machine, wait for the end of its first boot, pin its host key, and return what it reported.

        Not earlier: some images present other host keys until cloud-init has generated new ones.
        """
        known_hosts, entry = self._context.known_hosts, self._entry(record)
        known_hosts.unsettled.add(entry)
        try:
            session.connect(is_new=True)
            has_user_data = bool(step.node_attributes.get("user_data"))
            boot = await_first_boot(session, reporter, has_user_data=has_user_data, claim=self._claim_of(step.node))
        finally:
            known_hosts.unsettled.discard(entry)
        shown = session.ssh.host_key
        if shown is None or known_hosts.pinned(entry) is not None:
            return boot
        if boot.host_keys is None or key_text(shown) in boot.host_keys:
            known_hosts.pin(entry, shown)
        else:
            session.close()
            session.connect(is_new=True)
        return boot

    def _claim(self, step: Step, session: NodeSession) -> None:
        """Mark the machine as this node's, for targets that keep marks on machines; release one of another service.

        Raises:
            DtkError: it is marked as another service's.
        """
        if claim := self._claim_of(step.node):
            prepared = Prepared("mark the machine", "sh -s", claim.script.encode())
            # Without an answer, the machine may still be this service's: the step is then finished later.
            answer = session.ask(prepared, session.next_mark(as_root=False))
            claim.check("\n".join(answer.stdout))

    def _claim_of(self, node: str) -> MachineClaim | None:
        """Return what marks a machine as this node's, None for a target that keeps no marks on machines."""
        identity = self._context.identity
        script = self._context.provider.claim_script(identity, node)
        return MachineClaim(script, identity.lineage, partial(self._check_claim, node)) if script else None

    def _check_claim(self, node: str, printed: str) -> None:
        """Release the machine if it is marked as another service's, and raise an error."""
        context = self._context
        try:
            context.provider.check_claim(context.identity, node, printed)
        except DtkError:
            state = context.store.state.nodes.get(node)
            context.drop_session(node)
            if state is not None:
                context.provider.terminate(context.identity, [record_of(node, state)], lambda *_: None)
                context.change_state(lambda now: changes.without_node(now, node))
            # It never was this service's. It stays unchanged and leaves the state, so that the next task takes another
            # machine.
            raise

    def _unclaim(self, node: str) -> None:
        """Remove the service's mark from a machine before it is released; a machine that does not answer keeps it."""
        context = self._context
        script = context.provider.unclaim_script(context.identity)
        if not script or node not in context.store.state.nodes:
            return
        prepared = Prepared("unmark the machine", "sh -s", script.encode())
        with suppress(DtkError), gevent.Timeout(UNCLAIM_SECONDS, False):
            session = context.session(node)
            session.begin_step(None, context.step_mark(f"unclaim-{node}"))
            session.connect()
            session.ask(prepared, session.next_mark(as_root=False))

    def _terminate(self, records: Sequence[NodeRecord]) -> None:
        """End machines and release what the plan says is released with them, before the state forgets the nodes.

        A task that ends the service releases it at its end: what can't be released then holds no machine up.
        """
        provider, identity, plan = self._context.provider, self._context.identity, self._context.plan
        gone = [] if plan.ends_service else [change for change in plan.nodes if change.change in GOING]
        releases = {change.node for change in gone if change.releases}
        ended: list[NodeRecord] = []

        def report(node: str, outcome: NodeRecord | DtkError) -> None:
            if node in releases and not isinstance(outcome, DtkError):
                ended.append(outcome)
            else:
                self._report(node, outcome)

        provider.terminate(identity, records, report)
        problems = provider.release(identity, [record.node for record in ended]) if ended else {}
        for record in ended:
            self._report(record.node, problems.get(record.node, record))

    def leave(self, step: Step) -> None:
        """Stop waiting for a step: it has started, or was stopped before it could."""
        if step.node in self._awaited:
            self._awaited.remove(step.node)
            # The last step calls the provider for all of them: it creates hundreds of machines in few calls, and each
            # step is recorded as started by then.
            if not self._awaited and self._steps:
                gevent.spawn(self._call)

    def _call(self) -> None:
        missing: BaseException = DtkError("the target did not report the status of the node")
        kind = self._steps[0].type
        try:
            self._check_goes_on()
            self._prepare(kind)
            self._check_goes_on()
            self._call_provider(kind)
        except (Exception, StepStopped) as error:
            missing = error
        # End also the nodes that the provider did not report: their steps would wait forever.
        for result in self._results.values():
            if not result.ready():
                result.set_exception(missing)

    def _prepare(self, kind: StepType) -> None:
        """Do what must precede the target's changing call: it may wait for the target, the disk and the store."""
        known = self._context.store.state.nodes
        self._context.provider.check(self._context.identity, [record_of(node, one) for node, one in known.items()])
        if kind == "create_node":
            self._note_intent()
        elif kind in ENDING_STEPS:
            self._context.await_commit()

    def _call_provider(self, kind: StepType) -> None:
        provider, identity = self._context.provider, self._context.identity
        if kind == "create_node":
            known = self._context.store.state.nodes
            requests = [
                NodeRequest(step.node, dict(step.node_attributes), dict(known[step.node].attributes))
                for step in self._steps
            ]
            provider.create(identity, requests, self._report, self._record)
            return
        state = self._context.store.state
        if kind in _MEMBERSHIP:
            call_for = register if kind == "register_node" else deregister
            call_for(
                self._context, {s.node: s.target_groups for s in self._steps if s.node in state.nodes}, self._report
            )
            return
        if kind in ENDING_STEPS:
            gevent.joinall([gevent.spawn(self._unclaim, step.node) for step in self._steps])
        for step in self._steps:
            if kind in ("power_off_node", "resize_node", *ENDING_STEPS):
                self._context.drop_session(step.node)
            if step.node not in state.nodes:
                self._results[step.node].set_exception(DtkError(f"node {step.node} is not in the state"))
        records = [record_of(step.node, state.nodes[step.node]) for step in self._steps if step.node in state.nodes]
        if kind in ("resize_node", "modify_volumes"):
            wanted = {step.node: step.node_attributes for step in self._steps}
            change = provider.resize if kind == "resize_node" else provider.modify_volumes
            change(identity, [MachineChange(record, wanted[record.node]) for record in records], self._report)
            return
        if kind in ENDING_STEPS:
            # The provider knows which machines dtk did not create, and ends none of them.
            self._terminate(records)
            return
        call = {
            "power_on_node": provider.start,
            "power_off_node": provider.stop,
        }[kind]
        call(identity, records, self._report)

    def _check_goes_on(self) -> None:
        """Raise ``StepStopped`` if the task is stopping."""
        if self._context.stopping.reason:
            raise StepStopped

    def _note_intent(self) -> None:
        """Add the nodes to the state before they are created: after a crash they can be found, or terminated."""
        new = [step.node for step in self._steps if step.node not in self._context.store.state.nodes]
        begun = NodeState("", "pending", asdict(Connection("")))
        self._context.change_state(
            lambda state: reduce(lambda changed, node: changes.with_node(changed, node, begun), new, state)
        )
        self._context.await_commit()

    def _record(self, nodes: Sequence[str], known: Mapping[str, str]) -> None:
        """Store, on disk and in the shared store, what identifies the target's next call, before it is made."""

        def begun(state: State, node: str) -> State:
            # What is reserved for a node stays until it is released, and a reservation keeps what identifies its call.
            before = state.nodes[node].attributes if node in state.nodes else {}
            kept = {name: before[name] for name in before if name == RESERVED or RESERVED in known}
            return changes.with_node(state, node, NodeState("", "pending", asdict(Connection("")), {**kept, **known}))

        self._context.change_state(lambda state: reduce(begun, nodes, state))
        for node in nodes if known and RESERVED not in known else ():
            self._context.journal.append(
                "node.changed", f"{node} requested", node=node, change="requested", status="pending", **known
            )
        if known:
            self._context.await_commit()

    def _report(self, node: str, outcome: NodeRecord | DtkError) -> None:
        if isinstance(outcome, DtkError):
            self._results[node].set_exception(outcome)
        else:
            self._results[node].set(outcome)

    def _note(self, kind: StepType, record: NodeRecord, change: str = "") -> None:
        context, node = self._context, record.node
        known = context.store.state.nodes.get(node)
        if kind == "power_off_node":
            record = self._with_host_key(record)
        elif kind == "resize_node" and known is not None:
            # It was stopped for a while and may have another address now: its host key must move with it.
            kept = self._with_host_key(record_of(node, known)).connection.host_key
            record = replace(record, connection=replace(record.connection, host_key=kept))
        if kind in ENDING_STEPS or known is None or known.id != record.id:
            # The key pinned for this address may be that of another machine.
            context.known_hosts.forget(self._entry(record))
        if kind in ENDING_STEPS:
            context.change_state(lambda state: changes.without_node(state, node))
        elif kind == "power_off_node":
            # On a stopped machine, no process of an earlier step runs.
            context.change_state(
                lambda state: changes.without_in_doubt(changes.with_node(state, node, state_of(record)), node)
            )
        else:
            context.change_state(lambda state: changes.with_node(state, node, state_of(record)))
        change, address = change or CHANGES[kind], str(record.attributes.get("host_address", ""))
        context.journal.append(
            "node.changed",
            f"{node} {change}" + (f" at {address}" if address and record.status == "running" else ""),
            node=node,
            change=change,
            id=record.id,
            status=record.status,
            host_address=address,
        )
        if kind in ENDING_STEPS:
            # After a crash, another machine that continues the task must not look for a terminated machine.
            context.await_commit()

    def _pinned_key(self, record: NodeRecord) -> dict[str, str]:
        """Return the machine's pinned host key as an attribute for the state, so that other clones check it, too."""
        key = self._context.pinned_key(record)
        return {HOST_KEY: key} if key else {}

    def _with_host_key(self, record: NodeRecord) -> NodeRecord:
        """Move a stopping machine's pinned key into its record: another machine may get its address."""
        key = self._context.pinned_key(record)
        if not key:
            return record
        self._context.known_hosts.forget(self._entry(record))
        return replace(record, connection=replace(record.connection, host_key=key))

    def _entry(self, record: NodeRecord) -> str:
        connection = self._context.provider.connection_to(record)
        return host_entry(connection.hostname, connection.port)
