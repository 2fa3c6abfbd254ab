"""Runs one action on one node: its items, then its outputs; then records its success in the state."""

from __future__ import annotations

import gevent

from dtk.apply.items.action_run import ActionProgress, Work, time_limit
from dtk.apply.items.action_values import ActionValues
from dtk.apply.items.foreseen import foreseeing
from dtk.apply.items.item import run_item
from dtk.apply.items.outputs import take_outputs
from dtk.apply.reporting.failure import ActionError
from dtk.apply.reporting.operation_record import OperationRecord
from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.task_context import TaskContext
from dtk.model.json_data import Json, ReadOnlyObject
from dtk.model.names import ASSEMBLY_WIDE, CREATE, DELETE
from dtk.model.planned_action import PlannedAction
from dtk.ssh.channels import ConnectionLostError
from dtk.ssh.private_keys import UnreachableError
from dtk.state import changes
from dtk.state.model import Applied, State

LONGEST_SHOWN_VALUE = 200
"""Characters of a value in an event's message; the event's own field has the whole value."""


def run_action(context: TaskContext, action: PlannedAction, reporter: StepReporter) -> bool:
    """Run an action, with its retries, and record its success.

    Returns:
        Whether it changed anything.

    Raises:
        DtkError: the last attempt failed.
    """
    # First of all: after a crash from here on, a resume must not find an older success and skip the action.
    context.change_state(lambda state: changes.without_success(state, action.key))
    attempts = action.retries + 1
    is_certain, changed_ids = _is_certain(context, action), set[str]()
    for attempt in range(1, attempts + 1):
        try:
            return _attempt(context, action, reporter, ActionProgress(changed_ids, is_certain=is_certain))
        except (ActionError, ConnectionLostError, UnreachableError) as error:
            if attempt == attempts:
                raise
            reporter.retrying(attempt + 1, attempts, action.retry_delay, error.message)
            gevent.sleep(action.retry_delay)
    raise AssertionError("the last attempt returns or raises")


def _is_certain(context: TaskContext, action: PlannedAction) -> bool:
    """Return whether no earlier attempt may have stopped between a change and its consequence.

    This may have happened to a component that was never converged or whose last attempt did not succeed (for example, a
    new configuration without the restart that it needs), and to any action that a resume repeats.
    """
    if action.action != CREATE:
        return not context.plan.resumes
    applied = context.store.state.applied.get(action.node, {}).get(action.component)
    return applied is not None and not applied.attempted


def _attempt(context: TaskContext, action: PlannedAction, reporter: StepReporter, progress: ActionProgress) -> bool:
    files = context.module_files(action.module)
    values = ActionValues(action, context.store.state, context.secret, context.redactor, files)
    changed = False
    work = None
    key = action.node, action.component
    if action.node == ASSEMBLY_WIDE:
        outputs = take_outputs(action, values, None, context.redactor)
    else:
        session = context.session(action.node)
        session.connect()
        if action.action == CREATE:
            # Not earlier: a node that could not be reached still has what it had before.
            context.change_state(lambda state: changes.with_attempt(state, *key, context.number))
        work = Work(action, session, context.engine.host(session), reporter, values, files, progress)
        with time_limit(work, action.timeout):
            with foreseeing(work):
                for item in action.items:
                    changed |= run_item(work, item)
            # Output of the last item must not be mistaken for output of the commands of outputs.
            session.record = OperationRecord()
            outputs = take_outputs(action, values, work, context.redactor)
    _note_success(context, action, values, outputs)
    return changed


def _note_success(context: TaskContext, action: PlannedAction, values: ActionValues, outputs: ReadOnlyObject) -> None:
    # Read before the change: the log reports only values that differ from the earlier ones.
    before = context.store.state.attributes

    def achieved(state: State) -> State:
        state = changes.with_attributes(state, outputs)
        if action.action == CREATE:
            applied = Applied(
                action.module,
                action.action_digest,
                values.applied,
                context.number,
                action.hidden,
                secrets=context.secret_digests(values.secrets),
            )
            state = changes.with_applied(state, action.node, action.component, applied)
        elif action.action == DELETE:
            state = changes.without_applied(state, action.node, action.component)
        return changes.with_success(state, action.key, action.input_digest)

    context.change_state(achieved)
    hidden = {output.attribute for output in action.outputs if output.hidden}
    for path, value in outputs.items():
        if path not in before or before[path] != value:
            _record_value(context, path, value, hidden=path in hidden)


def _record_value(context: TaskContext, path: str, value: Json, *, hidden: bool) -> None:
    if hidden:
        context.journal.append("attribute.set", f"{path} is set (hidden)", path=path, hidden=True)
    else:
        shown = context.redactor.text(str(value))
        shortened = shown if len(shown) <= LONGEST_SHOWN_VALUE else f"{shown[:LONGEST_SHOWN_VALUE]}..."
        context.journal.append("attribute.set", f"{path} is {shortened}", path=path, value=value)
