"""A service's picture as text for other programs: Mermaid, and DOT for Graphviz."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dtk.views.picture import Box, Picture, StageBox


def mermaid(picture: Picture) -> str:
    """Return the picture as a Mermaid flowchart, for Markdown on GitHub and GitLab."""
    names = _Identifiers()
    lines = ["flowchart LR"]
    for box in picture.boxes:
        lines.append(f'  subgraph {names.of(box.name)}["{_mermaid_text(heading(box))}"]')
        lines += [f'    {names.of(box.name, c)}["{_mermaid_text(c)}"]' for c in box.components]
        lines.append("  end")
    lines += [f"  {names.of(*arrow.user)} --> {names.of(*arrow.used)}" for arrow in picture.arrows]
    if picture.stages:
        lines += [f'  subgraph {names.of("", "stages")}["Stages"]', "    direction TB"]
        for stage in picture.stages:
            text = "<br>".join(map(_mermaid_text, stage_lines(stage)))
            lines.append(f'    {names.of("", stage.number)}["{text}"]')
        order = [names.of("", stage.number) for stage in picture.stages]
        lines += [f"    {' --> '.join(order)}"] if len(order) > 1 else []
        lines.append("  end")
    return "\n".join(lines) + "\n"


def dot(picture: Picture) -> str:
    """Return the picture as a directed graph in DOT."""
    names = _Identifiers()
    lines = [f"digraph {_quoted(picture.title)} {{", "  rankdir=LR;", "  compound=true;", "  node [shape=box];"]
    for box in picture.boxes:
        lines += [f"  subgraph cluster_{names.of(box.name)} {{", f"    label={_quoted(heading(box))};"]
        lines += [f"    {names.of(box.name, c)} [label={_quoted(c)}];" for c in box.components]
        # Graphviz does not draw a cluster without nodes.
        lines += [] if box.components else [f'    {names.of(box.name, "")} [label="", shape=point];']
        lines.append("  }")
    lines += [f"  {names.of(*arrow.user)} -> {names.of(*arrow.used)};" for arrow in picture.arrows]
    if picture.stages:
        lines += [f"  subgraph cluster_{names.of('', 'stages')} {{", '    label="Stages";']
        for stage in picture.stages:
            text = "\\n".join(map(_escaped, stage_lines(stage)))
            lines.append(f'    {names.of("", stage.number)} [label="{text}"];')
        order = [names.of("", stage.number) for stage in picture.stages]
        lines += [f"    {' -> '.join(order)};"] if len(order) > 1 else []
        lines.append("  }")
    return "\n".join([*lines, "}"]) + "\n"


def heading(box: Box) -> str:
    """Return the title of a box; for a group with the number of its members."""
    return f"{box.name} ({len(box.members)})" if box.is_group else box.name


def stage_lines(stage: StageBox) -> Iterator[str]:
    """Yield the lines of a stage: its name, then what it does; for a stage of one row, both are the same."""
    yield f"{stage.number} {stage.name}"
    yield from stage.lines


class _Identifiers:
    """Identifiers of letters and digits for arbitrary names such as ``slaves`` and ``ring::member[a]``."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, ...], str] = {}

    def of(self, *name: str) -> str:
        """Return the identifier of a name; always the same for the same name."""
        readable = re.sub(r"\W+", "_", "_".join(name), flags=re.ASCII).strip("_")
        return self._given.setdefault(name, f"n{len(self._given) + 1}_{readable}".rstrip("_"))


def _mermaid_text(text: str) -> str:
    return text.replace("&", "#amp;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;")


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
