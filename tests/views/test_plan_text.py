"""A plan as text: deletions come first and in colour, each step has a reason, numbers agree with their nouns."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from dtk.model.plan import ComponentChange, Plan
from dtk.plan.document import from_text
from dtk.views.formatting import GREEN, RED, YELLOW
from dtk.views.plan_markdown import plan_markdown
from dtk.views.plan_text import plan_text

PLANS = Path(__file__).resolve().parents[1] / "plans"


def case(name: str) -> Plan:
    return from_text((PLANS / name / "plan.json").read_text(), name)


def mixed() -> Plan:
    """Return a plan that creates and terminates nodes and deletes a component."""
    up, down = case("scale-up"), case("scale-down")
    going = ComponentChange("front", "web::cache", "delete", ("no longer in the service",))
    nodes = (*(node for node in up.nodes if node.change == "create"), *down.nodes)
    return replace(down, nodes=nodes, components=(*down.components, going))


def test_what_is_deleted_comes_before_all_that_is_made_or_changed() -> None:
    lines = plan_text(mixed()).splitlines()
    start = lines.index("Deletions:")
    assert lines[start + 1] == "  - terminate servers:[3-4]  (servers/cardinality 4 → 2)"
    assert lines[start + 2] == "  - front/web::cache  (no longer in the service)"
    assert start < lines.index("Nodes:") < lines.index("Components:")
    signs = [row.split("`")[1] for row in plan_markdown(mixed()).splitlines() if row.startswith("| `")]
    assert signs == sorted(signs, key=lambda sign: sign != "-")


def test_deletions_are_red_what_is_made_green_what_changes_yellow_and_pipes_get_no_colour() -> None:
    lines = plan_text(mixed(), color=True).splitlines()
    colors = {line[5:].split()[0]: line[:5] for line in lines if line.startswith("\x1b")}
    assert colors == {"-": RED, "+": GREEN, "~": YELLOW}
    assert "\x1b" not in plan_text(mixed())


def test_every_step_says_why_it_is_done() -> None:
    lines = plan_text(case("attribute-changed")).splitlines()
    assert "      configure_node data web::database  (data/web::database/port 5432 → 5433)" in lines
    assert "      action front web::balancer.smoke_test  (runs whenever something changes)" in lines


def test_one_stage_with_one_step_is_told_in_the_singular() -> None:
    assert plan_text(case("added-component-last")).endswith("; 1 stage, 1 step\n")
    assert "<summary>1 stage</summary>" in plan_markdown(case("added-component-last"))
