"""A plan as text for people: deletions first, one line per group, reasons, a summary line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from dtk.model.json_data import Json
from dtk.model.membership import group_name
from dtk.model.names import CREATE, group_of
from dtk.model.plan import Finding, Plan, Stage, Step
from dtk.model.planned_action import PlannedAction
from dtk.views.formatting import GREEN, RED, YELLOW, colored, counted
from dtk.views.plan_entries import Entry, component_entries, is_deletion, machines_text, members_text, node_entries

HIDDEN = "(hidden)"
_COLORS = {"-": RED, "-/+": RED, "+": GREEN, "~": YELLOW, "!": RED}
_MOST_REASONS = 4
"""Maximum number of reasons below a step; all of them are shown with its components."""
_NODE_CHANGES = ("terminate", "release", "replace", "create", "resize", "grow", "modify", "start", "stop", "keep")
"""The changes of nodes in the order of the summary."""


def plan_text(plan: Plan, *, color: bool = False) -> str:
    """Return the plan as text: deletions, other changes with their reasons, stages, summary.

    Args:
        plan: the plan.
        color: whether to show deletions in red, creations in green and changes in yellow.
    """
    if plan.is_empty:
        return "\n".join([*drift_lines(plan), *left_out_lines(plan), nothing_line(plan)]) + "\n"
    lines = [f"Plan for service '{plan.service}' ({plan.assembly} on target {plan.target['name']})", ""]
    lines += [_in_color(line) if color else line for line in (*drift_lines(plan), *_change_lines(plan))]
    lines += stage_lines(plan)
    lines += left_out_lines(plan)
    if made := machines_text(plan):
        lines.append(f"Machines to create: {made}")
    return "\n".join([*lines, summary_line(plan)]) + "\n"


def _in_color(line: str) -> str:
    sign = line.split(" ")[2] if line.startswith("  ") and line[2:3].strip() else ""
    return colored(line, _COLORS[sign]) if sign in _COLORS else line


def _change_lines(plan: Plan) -> Iterator[str]:
    """Yield the changes: deletions and replacements first, because they can't be undone."""
    nodes, components = node_entries(plan), component_entries(plan)
    gone = [entry for entry in (*nodes, *components) if is_deletion(entry)]
    yield from _section("Deletions:", gone)
    yield from _section("Nodes:", [entry for entry in nodes if entry not in gone])
    yield from _section("Components:", [entry for entry in components if entry not in gone])
    yield from firewall_lines(plan)
    yield from volume_lines(plan)


def _section(title: str, entries: list[Entry]) -> list[str]:
    lines = [line for entry in entries for line in (_component_lines(entry) if entry.component else _node_lines(entry))]
    return [title, *lines, ""] if lines else []


def firewall_lines(plan: Plan) -> list[str]:
    """Return the ports to close and to open, with the sources they apply to."""
    signs = {"close": "-", "open": "+"}
    changes = [rule for rule in plan.firewall if rule.change in signs]
    lines = [f"  {signs[rule.change]} {rule.change} {rule.port} to {rule.source}" for rule in changes]
    return ["Firewall:", *lines, ""] if lines else []


def volume_lines(plan: Plan) -> list[str]:
    """Return the volumes that are kept, or deleted after their machines."""
    if not plan.volumes:
        return []
    if plan.deletes_volumes:
        return ["Deleted volumes:", *(f"  - {volume}" for volume in plan.volumes), ""]
    return ["Kept volumes:", *(f"    {volume}" for volume in plan.volumes), ""]


def nothing_line(plan: Plan) -> str:
    """Return the reason why there is nothing to do."""
    if any(found.kind == "machine" for found in plan.drift):
        return "No step to run: apply leaves these machines as they are."
    if plan.drift:
        return "Nothing to do: apply can't fix any of this."
    what = "the selection" if plan.left_out else f"service '{plan.service}'"
    return f"Nothing to do: {what} is up to date."


def left_out_lines(plan: Plan) -> list[str]:
    """Return what a selection left out, with the members of a group in one line."""
    if not plan.left_out:
        return []
    parts = [_left_out_parts(line) for line in plan.left_out]
    groups = groupby(parts, key=lambda part: (part[0], group_of(part[1]), part[2]))
    lines = [f"  {type_} {members_text([node for _, node, _ in found])}{rest}" for (type_, _, rest), found in groups]
    return ["Left out:", *lines, ""]


def _left_out_parts(line: str) -> tuple[str, str, str]:
    """Split ``configure_node slaves:1/spark::worker`` into its type, its node and the rest."""
    type_, _, where = line.partition(" ")
    node, slash, component = where.partition("/")
    return type_, node, slash + component


def drift_lines(plan: Plan) -> list[str]:
    """Return the findings of a refresh: drift, what can't be checked and why, how many commands run each time."""
    each_time = [found for found in plan.unchecked if found.kind == "runs_each_time"]
    kept = [found for found in plan.unchecked if found.kind == "kept"]
    others = [found for found in plan.unchecked if found not in (*each_time, *kept)]
    machines = [found for found in plan.drift if found.kind == "machine"]
    drift = [found for found in plan.drift if found.kind != "machine"]
    lines = ["Drift:", *map(_finding_line, drift), ""] if drift else []
    lines += ["Machines that differ:", *_machine_lines(plan.service, machines), ""] if machines else []
    lines += ["Kept as they are:", *_kept_lines(plan.service, kept), ""] if kept else []
    lines += ["Not checked:", *map(_finding_line, others), ""] if others else []
    if each_time:
        count = "1 command runs" if len(each_time) == 1 else f"{len(each_time)} commands run"
        lines += [f"{count} each time and can't be checked.", ""]
    return lines


def _machine_lines(service: str, found: Sequence[Finding]) -> Iterator[str]:
    """Yield how machines differ from what is requested, with the members of a group in one line."""
    for nodes, named, what in _folded(found):
        yield f"  ! {nodes}  {what}; to replace: dtk replace {service} {named}"


def _kept_lines(service: str, found: Sequence[Finding]) -> Iterator[str]:
    """Yield what machines keep although its name means something newer by now."""
    for nodes, named, what in _folded(found):
        yield f"    {nodes}  {what}: kept; to use the new one: dtk replace {service} {named}"


def _folded(found: Sequence[Finding]) -> Iterator[tuple[str, str, str]]:
    """Yield equal findings on members of a group once: the nodes, what to name in a command, and what was found."""
    for (_, what), alike in groupby(found, key=lambda one: (group_of(one.node), one.what)):
        nodes = [one.node for one in alike]
        yield members_text(nodes), nodes[0] if len(nodes) == 1 else group_of(nodes[0]), what


def _finding_line(found: Finding) -> str:
    if found.kind == "unreachable":
        return f"  ! {found.node}  unreachable: {found.what}"
    return f"  {'~' if found.is_drift else '?'} {found.node}/{found.component}  {found.operation}: {found.what}"


def summary_line(plan: Plan) -> str:
    """Return the summary of a plan: nodes by change, components by change, number of stages and steps."""
    nodes = _counted(
        (change.change for change in plan.nodes),
        {name: name for name in _NODE_CHANGES},
    )
    components = _counted(
        (change.change for change in plan.components),
        {"delete": "delete", "new": "new", "changed": "changed", "unchanged": "unchanged"},
    )
    stages, steps = counted(len(plan.stages), "stage"), counted(sum(1 for _ in plan.leaves()), "step")
    return f"Summary: nodes {nodes}; components {components}; {stages}, {steps}"


def _counted(found: Iterable[str], words: Mapping[str, str]) -> str:
    values = list(found)
    counts = [f"{values.count(key)} {word}" for key, word in words.items() if key in values]
    return ", ".join(counts) or "none"


def _node_lines(entry: Entry) -> list[str]:
    details = [*([entry.machine] if entry.machine else []), *(f"({reason})" for reason in entry.reasons)]
    return ["  ".join([f"  {entry.sign} {entry.change} {entry.nodes}", *details])]


def _component_lines(entry: Entry) -> list[str]:
    return _with_reasons(f"  {entry.sign} {entry.nodes}/{entry.component}", entry.reasons)


def _with_reasons(line: str, reasons: Sequence[str]) -> list[str]:
    """Return a line with its only reason, or with several reasons below it."""
    if len(reasons) == 1:
        return [f"{line}  ({reasons[0]})"]
    return [line, *(f"      {reason}" for reason in reasons)]


def stage_lines(plan: Plan) -> list[str]:
    """Return the stages with their steps, with the members of a group in one line."""
    if not plan.stages:
        return []
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
    """Yield a line per group and per single node, with the machines of a group together, and the reasons."""
    for _, steps in groupby(stage.steps, key=lambda s: (s.type, group_of(s.node), s.reason)):
        found = list(steps)
        leaves = [leaf for step in found for leaf in step.leaves()]
        nodes = members_text([leaf.node for leaf in leaves])
        does = ", ".join(dict.fromkeys(_does(action) for leaf in leaves for action in leaf.actions))
        window = found[0].max_in_flight
        words = [found[0].type, nodes, does, f"({window} at a time)" if window else "", _rotation(leaves)]
        yield from _with_reasons(" ".join(word for word in words if word), _reasons_of(leaves))


def _rotation(leaves: Sequence[Step]) -> str:
    """Return the load balancer groups that nodes leave for as long as a step works on them."""
    working = [leaf for leaf in leaves if leaf.type not in ("register_node", "deregister_node")]
    groups = dict.fromkeys(group_name(group) for leaf in working for group in leaf.target_groups)
    return f"(out of {', '.join(groups)} meanwhile)" if groups else ""


def _reasons_of(leaves: Sequence[Step]) -> list[str]:
    reasons = dict.fromkeys(
        reason
        for leaf in leaves
        for reason in ([r for a in leaf.actions for r in a.reasons] or [leaf.reason])
        if reason
    )
    more = len(reasons) - _MOST_REASONS
    return [*list(reasons)[:_MOST_REASONS], *([f"and {counted(more, 'more reason')}"] if more > 0 else [])]


def _does(action: PlannedAction) -> str:
    return action.component if action.action == CREATE else f"{action.component}.{action.action}"


def plan_json(plan: Plan, document: Mapping[str, Json]) -> str:
    """Return the plan's document as JSON without hidden values; ``dtk plan --out`` writes all values."""
    hidden = {(action.component, name) for leaf in plan.leaves() for action in leaf.actions for name in action.hidden}
    return json.dumps(_without_hidden(document, hidden), indent=2, ensure_ascii=False) + "\n"


def _without_hidden(value: object, hidden: set[tuple[str, str]]) -> Any:
    if isinstance(value, Mapping):
        cleaned = {key: _without_hidden(item, hidden) for key, item in value.items()}
        if "component" in cleaned and isinstance(cleaned.get("attributes"), dict):
            component = cleaned["component"]
            attributes = cleaned["attributes"].items()
            cleaned["attributes"] = {k: HIDDEN if (component, k) in hidden else v for k, v in attributes}
        return cleaned
    return [_without_hidden(item, hidden) for item in value] if isinstance(value, list) else value
