"""Why a step did not succeed: what its module did wrong, what was taken from it, what stopped it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dtk.errors import DtkError
from dtk.model.json_data import JsonObject

ErrorType = Literal["USER", "TEST", "SERVER"]
"""The three kinds of the original's errors section: of the service, of a test in it, of dtk and the machines."""


@dataclass(frozen=True)
class FailedCommand:
    """The command that failed: as it ran, its exit code, the last lines of all it printed."""

    command: str
    exit_code: int | None
    output: str


class ActionError(DtkError):
    """An action failed on a node; ``failed`` is its command, where it was one."""

    def __init__(self, message: str, *, failed: FailedCommand | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.failed = failed


class StepStopped(BaseException):
    """Thrown into a step's greenlet to end it; no ``except Exception`` on the way holds it up."""


class TimeLimit(BaseException):
    """Thrown into a step's greenlet when its action, or one command, took too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"timed out after {seconds:g} s")
        self.seconds = seconds


def error_fields(error: Exception, component: str = "", kind: ErrorType = "USER") -> JsonObject:
    """Return the ``error`` of a step.finished event.

    Args:
        error: what ended the step.
        component: the component whose action failed, "" for work on the machine itself.
        kind: the type of an action's failure; anything else is ``SERVER``.
    """
    if not isinstance(error, DtkError):
        return {"message": f"dtk failed: {type(error).__name__}: {error}; see worker.log", "type": "SERVER"}
    message = f"{error.message} ({error.hint})" if error.hint else error.message
    fields: JsonObject = {"message": message, "type": kind if isinstance(error, ActionError) else "SERVER"}
    if component:
        fields["component"] = component
    failed = error.failed if isinstance(error, ActionError) else None
    if failed is not None:
        fields |= {"command": failed.command, "output": failed.output}
        if failed.exit_code is not None:
            fields["exit_code"] = failed.exit_code
    return fields
