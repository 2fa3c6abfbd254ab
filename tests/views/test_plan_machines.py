"""The machines that a plan creates, as text for people."""

from __future__ import annotations

from pathlib import Path

from dtk.plan.document import from_text
from dtk.views.plan_markdown import plan_markdown

PLANS = Path(__file__).resolve().parents[1] / "plans"


def test_markdown_tells_what_each_new_machine_will_be() -> None:
    page = plan_markdown(from_text((PLANS / "node-words" / "plan.json").read_text(), "node-words"))
    assert "| `+` | create | group:\\[1-3\\] |  | t3.nano, debian\\_12<br>new node |" in page
    assert "t3.large or t3a.large, ami-0123456789abcdef0, 30 GB, 100 GB, spot" in page


def test_markdown_says_nothing_of_machines_that_a_target_does_not_make() -> None:
    page = plan_markdown(from_text((PLANS / "node-words-elsewhere" / "plan.json").read_text(), "node-words"))
    assert "debian" not in page
