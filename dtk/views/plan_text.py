"""A plan for people: deletions first, one line per group, reasons, a summary line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from dtk.model.names import group_of, node_order, split_member
from dtk.model.plan import ComponentChange, Finding, NodeChange, Plan, PlannedAction, Stage

HIDDEN = "(hidden)"
_SIGNS = {"terminate": "-", "delete": "-", "create": "+", "new": "+", "start": ">", "stop": "<", "changed": "~"}


def plan_text(plan: Plan) -> str:
    """Return the plan as people read it: what goes, what comes, what changes and why, the stages, the sum."""
    if plan.is_empty:
        still = f"service '{plan.service}' is as its files say" if not plan.drift else "applying mends none of this"
        return "\n".join([*drift_lines(plan), f"Nothing to do: {still}."]) + "\n"
    lines = [f"Plan for service '{plan.service}' ({plan.assembly} on target {plan.target['name']})", ""]
    lines += drift_lines(plan)
    lines += _node_lines(plan)
    lines += _component_lines(plan)
    lines += _stage_lines(plan)
    return "\n".join([*lines, summary_line(plan)]) + "\n"


def drift_lines(plan: Plan) -> list[str]:
    """Return what a refresh found: what differs, what can't be told and why, how many commands run each time."""
    each_time = [found for found in plan.not_judged if found.kind == "runs_each_time"]
    others = [found for found in plan.not_judged if found.kind != "runs_each_time"]
    lines = ["Drift:", *map(_finding_line, plan.drift), ""] if plan.drift else []
    lines += ["Not judged:", *map(_finding_line, others), ""] if others else []
    if each_time:
        count = "1 command runs" if len(each_time) == 1 else f"{len(each_time)} commands run"
        lines += [f"{count} each time and can't be judged.", ""]
    return lines


def _finding_line(found: Finding) -> str:
    if found.kind == "unreachable":
        return f"  ! {found.node}  unreachable: {found.what}"
    return f"  {'~' if found.is_drift else '?'} {found.node}/{found.component}  {found.operation}: {found.what}"


def summary_line(plan: Plan) -> str:
    """Return the plan's sum: nodes by what happens to them, components by how they change, stages and steps."""
    nodes = _counted(
        (change.change for change in plan.nodes),
        {"terminate": "terminate", "create": "create", "start": "start", "stop": "stop", "keep": "keep"},
    )
    components = _counted(
        (change.change for change in plan.components),
        {"delete": "delete", "new": "new", "changed": "changed", "unchanged": "unchanged"},
    )
    steps = sum(1 for _ in plan.leaves())
    return f"Summary: nodes {nodes}; components {components}; {len(plan.stages)} stages, {steps} steps"


def _counted(found: Iterable[str], words: Mapping[str, str]) -> str:
    values = list(found)
    counts = [f"{values.count(key)} {word}" for key, word in words.items() if key in values]
    return ", ".join(counts) or "none"


def _node_lines(plan: Plan) -> list[str]:
    changes = [change for change in plan.nodes if change.change != "keep"]
    if not changes:
        return []
    lines = [_node_line(list(group)) for _, group in groupby(changes, key=_node_group)]
    return ["Nodes:", *lines, ""]


def _node_group(change: NodeChange) -> tuple[str, str, str]:
    return change.change, group_of(change.node), change.reason


def _node_line(changes: Sequence[NodeChange]) -> str:
    first = changes[0]
    names = members_text([change.node for change in changes])
    return f"  {_SIGNS[first.change]} {first.change} {names}" + (f"  ({first.reason})" if first.reason else "")


def members_text(nodes: Sequence[str]) -> str:
    """Name several nodes of one group in one word: ``slaves:[1-3]``; a plain node by its name."""
    if len(nodes) == 1:
        return nodes[0]
    indices = sorted(member[1] for member in map(split_member, nodes) if member)
    runs = [[index for _, index in run] for _, run in groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0])]
    return f"{group_of(nodes[0])}:[{','.join(_run_text(run) for run in runs)}]"


def _run_text(run: Sequence[int]) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}"


def _component_lines(plan: Plan) -> list[str]:
    order = {"delete": 0, "new": 1, "changed": 2}
    changes = [change for change in plan.components if change.change in order]
    changes.sort(key=lambda change: (order[change.change], group_of(change.node), change.component))
    lines = [line for _, group in groupby(changes, key=_component_group) for line in _component_entry(list(group))]
    return ["Components:", *lines, ""] if lines else []


def _component_group(change: ComponentChange) -> tuple[str, str, str, tuple[str, ...]]:
    return change.change, group_of(change.node), change.component, change.reasons


def _component_entry(changes: Sequence[ComponentChange]) -> Iterator[str]:
    first = changes[0]
    nodes = members_text(sorted((change.node for change in changes), key=node_order))
    line = f"  {_SIGNS[first.change]} {nodes}/{first.component}"
    if len(first.reasons) == 1:
        yield f"{line}  ({first.reasons[0]})"
        return
    yield line
    for reason in first.reasons:
        yield f"      {reason}"


def _stage_lines(plan: Plan) -> list[str]:
    width = max(len(stage.number) for stage in plan.stages)
    lines = ["Stages:"]
    for stage in plan.stages:
        bounds = [f"the first {stage.canary} alone"] if stage.canary else []
        bounds += [f"at most {stage.max_in_flight} at a time"] if stage.max_in_flight else []
        bound = f" ({', '.join(bounds)})" if bounds else ""
        lines.append(f"  {stage.number:>{width}} {stage.name}{bound}")
        lines += [f"  {'':>{width}}   {line}" for line in _step_lines(stage)]
    return [*lines, ""]


def _step_lines(stage: Stage) -> Iterator[str]:
    """One line for each group and each single node, machines of one group together."""
    for (_, _, reason), steps in groupby(stage.steps, key=lambda s: (s.type, group_of(s.node), s.reason)):
        found = list(steps)
        nodes = members_text([leaf.node for step in found for leaf in step.leaves()])
        does = ", ".join(dict.fromkeys(_does(a) for step in found for leaf in step.leaves() for a in leaf.actions))
        words = [found[0].type, nodes, does]
        yield " ".join(word for word in words if word) + (f"  ({reason})" if reason and not does else "")


def _does(action: PlannedAction) -> str:
    return action.component if action.action == "create" else f"{action.component}.{action.action}"


def plan_json(plan: Plan, document: Mapping[str, Any]) -> str:
    """Return the plan's document as text with hidden values taken out; ``dtk plan --out`` writes the whole."""
    hidden = {(action.component, name) for leaf in plan.leaves() for action in leaf.actions for name in action.hidden}
    return json.dumps(_without_hidden(document, hidden), indent=2, ensure_ascii=False) + "\n"


def _without_hidden(value: Any, hidden: set[tuple[str, str]]) -> Any:
    if isinstance(value, Mapping):
        cleaned = {key: _without_hidden(item, hidden) for key, item in value.items()}
        if "component" in cleaned and isinstance(cleaned.get("attributes"), dict):
            component = cleaned["component"]
            attributes = cleaned["attributes"].items()
            cleaned["attributes"] = {k: HIDDEN if (component, k) in hidden else v for k, v in attributes}
        return cleaned
    return [_without_hidden(item, hidden) for item in value] if isinstance(value, list) else value
