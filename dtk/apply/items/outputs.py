"""Collects the outputs of an action: dynamic attributes from commands, facts and expressions."""

from __future__ import annotations

from dataclasses import replace

from dtk.apply.items.action_run import Work, failed_command
from dtk.apply.items.action_values import ActionValues
from dtk.apply.reporting.failure import ActionError, FailedCommand
from dtk.apply.reporting.redaction import Redactor
from dtk.apply.session.engine import get_fact
from dtk.model.json_data import Json, JsonObject
from dtk.model.planned_action import PlannedAction, PlannedOutput
from dtk.model.types import coerce


def take_outputs(action: PlannedAction, values: ActionValues, work: Work | None, redactor: Redactor) -> JsonObject:
    """Return an action's outputs by attribute path, each of its declared type.

    Args:
        action: the action that just ran.
        values: its values; later outputs can use earlier ones.
        work: the action on its node; None for an assembly-wide one, which has only expressions.
        redactor: knows the secrets; hidden outputs are added to it.

    Raises:
        ActionError: a value can't be determined, has the wrong type, or contains a secret, which must not be stored.
    """
    taken: JsonObject = {}
    for output in action.outputs:
        value = _typed(output, _raw(output, values, work))
        if redactor.holds_secret(value):
            raise ActionError(f"the output {output.attribute} contains a secret, but outputs are written to the state")
        if output.hidden:
            redactor.add_hidden(value)
        values.variables[output.name] = taken[output.attribute] = value
    return taken


def _raw(output: PlannedOutput, values: ActionValues, work: Work | None) -> Json:
    if output.source == "expression":
        return values.template(output.text, shell=False)
    if work is None:
        raise ActionError(f"the output {output.attribute} needs a node, but this component is assembly-wide")
    if output.source == "fact":
        fact: Json = get_fact(work.host, output.text, {**work.defaults, **output.arguments})
        return fact
    return _of_command(work, str(values.template(output.text, shell=True)))


def _of_command(work: Work, command: str) -> str:
    ok, stdout, _ = work.query(command)
    if not ok:
        # Not the lines themselves: the record's copy was redacted before it was shortened.
        found = work.session.record.failed
        raise failed_command(work, replace(found, command=command) if found else FailedCommand(command, None, ""))
    return "\n".join(stdout).strip()


def _typed(output: PlannedOutput, value: Json) -> Json:
    if value is None:
        raise ActionError(f"the output {output.attribute} has no value")
    try:
        return coerce(output.type, value)
    except ValueError as error:
        raise ActionError(f"the output {output.attribute} is not of type {output.type}: {error}") from None
