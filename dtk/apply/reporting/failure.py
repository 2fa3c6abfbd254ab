"""Why a step did not succeed: an error of its module, a timeout, a stop, or a failure of dtk or the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dtk.errors import DtkError
from dtk.model.json_data import JsonObject

ErrorType = Literal["USER", "TEST", "SERVER"]
"""The three kinds of the original's errors section: of the service, of a test in it, of dtk and the machines."""


@dataclass(frozen=True)
class FailedCommand:
    """A failed command: its text, its exit code, and the last lines of its output."""

    command: str
    exit_code: int | None
    output: str


class ActionError(DtkError):
    """An action failed on a node; ``failed`` is the command that failed, if there is one."""

    def __init__(self, message: str, *, failed: FailedCommand | None = None, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.failed = failed


class StepStopped(BaseException):
    """Raised in a step's greenlet to end it; a BaseException, so that no ``except Exception`` catches it."""


class TimeLimit(BaseException):
    """Raised in a step's greenlet when its action, or one command, timed out."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"timed out after {seconds:g} s")
        self.seconds = seconds


def error_fields(error: Exception, component: str = "", kind: ErrorType = "USER") -> JsonObject:
    """Return the ``error`` field of a step.finished event.

    Args:
        error: what ended the step.
        component: the component whose action failed, "" for work on the machine itself.
        kind: the error type of a failed action; any other failure is ``SERVER``.
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
