"""Parts of a service: --only and --exclude in plan and apply, what is left out, and what cannot be done alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import Dtk

pytestmark = pytest.mark.usefixtures("module")


def stage_names(dtk: Dtk) -> list[str]:
    return [stage["name"] for stage in dtk.json("task-status", "ring1")["stages"]]


def home(dtk: Dtk, node: str) -> Path:
    return next(Path(n["attributes"]["home"]) for n in dtk.json("list-nodes", "ring1") if n["node"] == node)


def test_only_one_member_is_changed_and_the_plan_says_what_it_leaves_out(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    dtk.run("set-attribute", "ring1", "slaves/ring::member/work", "touch $HOME/worked")
    shown = dtk.run("plan", "ring1", "--only", "slaves:1", "--out", "part.json").stdout
    assert "~ slaves:1/ring::member" in shown
    left = "Left out:\n  configure_node slaves:2/ring::member\n  action master/ring::roll.call\n"
    assert left in shown
    document = json.loads((dtk.root / "part.json").read_text())
    assert document["only"] == ["slaves:1"]
    assert document["left_out"] == ["configure_node slaves:2/ring::member", "action master/ring::roll.call"]
    dtk.run("apply", "part.json", "--yes")
    assert (home(dtk, "slaves:1") / "worked").exists()
    assert not (home(dtk, "slaves:2") / "worked").exists()
    rest = dtk.json("plan", "ring1")
    changed = [(c["node"], c["component"]) for c in rest["components"] if c["change"] == "changed"]
    assert changed == [("slaves:2", "ring::member")]
    assert "Nothing to do: the selection" in dtk.run("plan", "ring1", "--only", "slaves:1").stdout


def test_a_machine_that_a_chosen_component_needs_is_made_with_it_and_no_other(dtk: Dtk) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    dtk.run("apply", "ring1", "--only", "ring::hub", "--yes")
    assert [*dtk.addresses("ring1")] == ["master"]
    dtk.run("apply", "ring1", "--only", "members", "--exclude", "slaves:2", "--yes")
    assert [*dtk.addresses("ring1")] == ["master", "slaves:1"]
    dtk.run("apply", "ring1", "--yes")
    assert [*dtk.addresses("ring1")] == ["master", "slaves:1", "slaves:2"]
    assert "Nothing to do" in dtk.run("plan", "ring1").stdout


def test_what_takes_a_value_that_only_something_left_out_makes_is_refused_with_its_place(dtk: Dtk) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    answer = dtk.run("plan", "ring1", "--only", "slaves", code=3).stderr
    assert (
        "dtk.module.yaml:67:26: 'slaves/ring::member' uses master/ring::hub/address, which has no value yet" in answer
    )
    answer = dtk.run("plan", "ring1", "--exclude", "slaves:2", code=3).stderr
    assert "'master/ring::roll' uses slaves:2/host_address" in answer
    dtk.run("apply", "ring1", "--only", "ring::hub", "--yes")
    assert "left out" in dtk.run("plan", "ring1", "--only", "slaves").stdout.lower()


def test_terminations_can_be_left_out_and_come_with_the_next_plan(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    dtk.run("set-attribute", "ring1", "slaves/cardinality", "1")
    shown = dtk.run("plan", "ring1", "--exclude", "terminate_nodes_stage").stdout
    assert "Left out:\n  action slaves:2/ring::member.delete\n  terminate_node slaves:2\n" in shown
    dtk.run("apply", "ring1", "--exclude", "terminate_nodes_stage", "--yes")
    assert "slaves:2" in dtk.addresses("ring1")
    assert "- terminate slaves:2" in dtk.run("plan", "ring1").stdout


def test_a_failed_part_is_resumed_as_the_part_it_was(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    work = "test -e $HOME/flag || { echo no flag; exit 7; }"
    dtk.run("set-attribute", "ring1", "slaves/ring::member/work", work)
    dtk.run("apply", "ring1", "--only", "slaves:2", "--yes", code=1)
    dtk.run("apply", "ring1", "--resume", "--only", "slaves:1", code=2)
    (home(dtk, "slaves:2") / "flag").touch()
    dtk.run("apply", "ring1", "--resume", "--yes")
    task = dtk.json("task-status", "ring1")
    leaves = [leaf for stage in task["stages"] for step in stage["steps"] for leaf in step["steps"] or [step]]
    assert [leaf["node"] for leaf in leaves] == ["slaves:2"]
    assert "~ slaves:1/ring::member" in dtk.run("plan", "ring1").stdout


def test_a_term_that_names_nothing_is_told_with_the_nearest_that_does(dtk: Dtk) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    for term, near in (("slavs", "slaves"), ("ring::hubb", "ring::hub"), ("rol call", "roll call")):
        answer = dtk.run("plan", "ring1", "--only", term, code=2).stderr
        assert f"'{term}' matches nothing in this service\nnext: did you mean '{near}'?" in answer
    dtk.run("plan", "ring1", "--out", "plan.json")
    assert (
        "--only and --exclude cannot be used with a plan file"
        in dtk.run("apply", "plan.json", "--only", "slaves", "--yes", code=2).stderr
    )


def test_markdown_of_a_plan_has_its_changes_and_no_value_acts_as_markup(dtk: Dtk) -> None:
    dtk.run("deploy", "acme:ring/cluster", "ring1")
    dtk.run("set-attribute", "ring1", "slaves/ring::member/work", "echo '|<b>*x*`</pre>'")
    page = dtk.run("plan", "ring1", "--markdown", "--exclude", "slaves:2").stdout
    assert page.startswith("### Plan for `ring1`\n\nacme:ring/cluster on target local\n\n**Summary: nodes 3 keep;")
    why = r"""slaves/ring::member/work "true" → echo '\|&lt;b&gt;\*x\*\`&lt;/pre&gt;'"""
    assert f"| `~` | changed | slaves:1 | ring::member | {why} |\n" in page
    assert (
        "<details><summary>Left out</summary>\n\n<pre>Left out:\n  configure_node slaves:2/ring::member</pre>" in page
    )
    dtk.run("plan", "ring1", "--markdown", "--json", code=2)
