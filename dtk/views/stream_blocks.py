"""The block of a stage in the stream: its heading with the steps, its ending with results and errors.

Source of the layout: docs/original.md 6.4.
"""

from __future__ import annotations

from dtk.events.tree import OperationResult, TaskStage, TaskStep
from dtk.views.formatting import duration_text, harmless, one_line, stream_time
from dtk.views.operation_text import is_shown, operation_heading
from dtk.views.plan_entries import members_text
from dtk.views.step_errors import errors_text

START_BORDER = "=" * 60
END_BORDER = "-" * 60
HELD = (
    "a background process still holds the command's output, which dtk no longer reads; it may fail when it writes:"
    " redirect its output to a file, or start it with dtk/daemon"
)
"""The note about a command whose output is no longer read although a process can still write to it."""
_OPERATIONS = {
    "create_node": "CreateNode",
    "power_on_node": "PowerOnNode",
    "power_off_node": "PowerOffNode",
    "terminate_node": "TerminateNode",
    "release_node": "ReleaseNode",
}


def stage_heading(stage: TaskStage) -> list[str]:
    """Return the lines that begin a stage."""
    time = [f"TIME START: {stream_time(stage.started_at)}"] if stage.started_at else []
    return [START_BORDER, f"STAGE {stage.number}: {one_line(stage.name)}", *time, *_steps(stage)]


def stage_ending(stage: TaskStage) -> list[str]:
    """Return the lines that end a stage, including the blank line after it."""
    duration = [] if stage.duration is None else [f"DURATION: {duration_text(stage.duration)}"]
    return [f"STATUS: {stage.status}", *duration, *_results(stage), *_held(stage), *_errors(stage), END_BORDER, ""]


def _steps(stage: TaskStage) -> list[str]:
    """Return what the stage does: nodes by operation, then components, then actions."""
    leaves = list(stage.leaves())
    lines: list[str] = []
    for kind, operation in _OPERATIONS.items():
        nodes = [leaf.node for leaf in leaves if leaf.type == kind]
        if nodes:
            lines += [f"OPERATION: {operation}{'s' if len(nodes) > 1 else ''}", *(f"  {node}" for node in nodes)]
    components = [name for step in stage.steps for name in _names(step, actions=False)]
    actions = [name for step in stage.steps for name in _names(step, actions=True)]
    return lines + _list("COMPONENT", components) + _list("ACTION", actions)


def _list(title: str, names: list[str]) -> list[str]:
    if len(names) == 1:
        return [f"{title}: {names[0]}"]
    return [f"{title}S:", *(f"  {name}" for name in names)] if names else []


def _names(step: TaskStep, *, actions: bool) -> list[str]:
    """Return ``node/component`` or ``node/component.action`` for a step; for a group, once for all its members."""
    parts = [step] if not step.steps else [step, *step.leaves()]
    names = dict.fromkeys(name for part in parts for name in (part.actions if actions else _components(part)))
    return [f"{_place(step)}/{name}" for name in names]


def _place(step: TaskStep) -> str:
    """Return where a step runs: on a node, on a whole group, or on some of its members."""
    members = [member.node for member in step.steps]
    is_whole = len(members) > 1 and len(members) >= step.group_size
    return step.node if not members else f"node-group:{step.node}" if is_whole else members_text(members)


def _components(step: TaskStep) -> tuple[str, ...]:
    return () if step.actions else step.components


def _results(stage: TaskStage) -> list[str]:
    """Return the results of the stage's actions by node; converged components have none."""
    leaves = [leaf for leaf in stage.leaves() if leaf.actions and leaf.results]
    lines = [line for leaf in leaves for line in (f"NODE: {leaf.node}", *_commands(leaf), "")]
    return ["RESULTS:", "", *lines] if lines else []


def _commands(leaf: TaskStep) -> list[str]:
    lines: list[str] = []
    for result in leaf.results:
        lines += ["--", *_command(result)] if lines else _command(result)
    return lines


def _command(result: OperationResult) -> list[str]:
    if result.skipped:
        return [f"{operation_heading(result)} (skipped)"]
    code = [] if result.exit_code is None else [f"RETURN CODE: {result.exit_code}"]
    return [
        operation_heading(result),
        *code,
        *output_lines("STDOUT", result.stdout),
        *output_lines("STDERR", result.stderr),
    ]


def output_lines(title: str, output: str) -> list[str]:
    """Return the lines of an output below its title, or nothing if there is no output."""
    text = harmless(output).rstrip("\n")
    return [f"{title}:", *indented(text)] if text else []


def _held(stage: TaskStage) -> list[str]:
    """Return a note for each command that left a process running which keeps its output open."""
    held = [(leaf, result) for leaf in stage.leaves() for result in leaf.results if result.output_held]
    return [f"NOTE: {leaf.node}: {operation_heading(result)}: {HELD}" for leaf, result in held]


def _errors(stage: TaskStage) -> list[str]:
    """Return the errors that the results of their steps do not show already."""
    leaves = [leaf for leaf in stage.leaves() if leaf.errors and not (leaf.actions and is_shown(leaf))]
    lines = [line for leaf in leaves for line in (f"NODE: {leaf.node}", *indented(errors_text(leaf.errors)), "")]
    return ["ERRORS:", *lines] if lines else []


def indented(text: str) -> list[str]:
    """Return the lines of a text, indented by two."""
    return [f"  {line}" if line else "" for line in text.split("\n")]
