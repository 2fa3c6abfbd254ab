"""Replacement of machines, round by round: after any interruption the result is the same as without one."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dtk.apply.beginning import with_task_begun
from dtk.errors import UsageError
from dtk.model.plan import Plan, Step
from dtk.model.target import Target
from dtk.model.value import Known
from dtk.nodes.ec2.description import EC2
from dtk.plan.compile import compile_plan
from dtk.plan.document import from_text, to_text
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.rounds import Replacement, with_replacement
from dtk.plan.simulation import after_step, applied
from dtk.state import changes
from dtk.state.document import from_document, to_document
from dtk.state.model import NodeState, State
from tests.plan.cases import FOLDER, request


def applied_request(case: str = "scale-down-workflow") -> PlanRequest:
    """Return the request of a service whose files are applied."""
    service = "before.yaml" if (FOLDER / case / "before.yaml").exists() else "service.yaml"
    original = replace(request(FOLDER / case, service), state=State(case, ""))
    return replace(original, state=applied(compile_plan(original), original.state))


def replacing(original: PlanRequest, *names: str, **how: str | int | bool) -> Plan:
    plan = compile_plan(with_replacement(original, Replacement(names, **how)))  # type: ignore[arg-type]
    assert from_text(to_text(plan), "plan.json") == plan, "as a file it is the same"
    return plan


def words(leaf: Step) -> str:
    does = [f"{action.component.partition('::')[2]}.{action.action}" for action in leaf.actions]
    return " ".join([leaf.node, *(does or [leaf.type])])


def round_of(*nodes: str) -> list[str]:
    """Return the steps for nodes that are replaced together; the head stays, but is updated before and after."""
    return [
        "master head.empty",
        *(f"{node} member.delete" for node in nodes),
        *(f"{node} terminate_node" for node in nodes),
        *(f"{node} create_node" for node in nodes),
        "master head.create",
        *(f"{node} member.create" for node in nodes),
    ]


def test_one_member_after_the_other_leaves_comes_back_and_keeps_its_number() -> None:
    plan = replacing(applied_request(), "slaves")
    rounds = [round_of("slaves:1"), round_of("slaves:2"), round_of("slaves:3")]
    assert [words(leaf) for leaf in plan.leaves()] == [line for one in rounds for line in one]
    assert {one.node: one.change for one in plan.nodes} == {
        "master": "keep",
        **dict.fromkeys(("slaves:1", "slaves:2", "slaves:3"), "replace"),
    }


def test_those_that_stay_see_only_each_other_before_one_goes() -> None:
    plan = replacing(applied_request(), "slaves:2")
    (empty,) = [action for leaf in plan.leaves() for action in leaf.actions if action.action == "empty"]
    assert "10.0.0.3" not in str(empty.items), "the address of slaves:2"
    assert "10.0.0.2" in str(empty.items)


@pytest.mark.parametrize(
    ("how", "rounds"),
    [
        ({"max_in_flight": "2"}, (("slaves:1", "slaves:2"), ("slaves:3",))),
        ({"max_in_flight": "100%", "canary": 1}, (("slaves:1",), ("slaves:2", "slaves:3"))),
        ({"canary": 2}, (("slaves:1", "slaves:2"), ("slaves:3",))),
    ],
)
def test_people_say_how_many_go_at_once(how: dict[str, str | int], rounds: tuple[tuple[str, ...], ...]) -> None:
    plan = replacing(applied_request(), "slaves", **how)
    assert plan.replaces == rounds
    assert [words(leaf) for leaf in plan.leaves()] == [line for one in rounds for line in round_of(*one)]


@pytest.mark.parametrize("names", [("slaves:2",), ("slaves",)])
def test_a_missing_member_comes_back_before_another_one_goes(names: tuple[str, ...]) -> None:
    original = applied_request()
    plan = replacing(replace(original, state=changes.without_node(original.state, "slaves:1")), *names)
    back = ["slaves:1 create_node", "master head.create", "slaves:1 member.create"]
    rounds = [round_of(*batch) for batch in plan.replaces]
    assert [words(leaf) for leaf in plan.leaves()] == back + [line for one in rounds for line in one]
    assert {one.node: one.change for one in plan.nodes}["slaves:1"] == "create"


def test_a_stopped_member_is_started_before_another_one_goes() -> None:
    original = applied_request()
    stopped = replace(original.state.nodes["slaves:3"], status="stopped")
    plan = replacing(replace(original, state=changes.with_node(original.state, "slaves:3", stopped)), "slaves")
    lines = [words(leaf) for leaf in plan.leaves()]
    assert lines.index("slaves:3 power_on_node") < lines.index("slaves:1 terminate_node")
    alone = replacing(replace(original, state=changes.with_node(original.state, "slaves:3", stopped)), "slaves:3")
    assert "slaves:3 power_on_node" not in [words(leaf) for leaf in alone.leaves()], "it goes anyway"


def on_ec2(original: PlanRequest, size: str) -> PlanRequest:
    """Return a request for the same nodes as EC2 instances of type t3.small, which now request a size."""
    nodes = {
        name: replace(node, attributes={**node.attributes, "instance_type": "t3.small", "region": "eu-central-1"})
        for name, node in original.state.nodes.items()
    }
    target = Target("aws", EC2, {"region": "eu-central-1", "defaults": {"size": size}})
    return replace(original, target=target, state=replace(original.state, nodes=nodes))


def test_other_machines_get_their_size_before_one_is_replaced() -> None:
    plan = replacing(on_ec2(applied_request(), "large"), "slaves:2")
    lines = [words(leaf) for leaf in plan.leaves() if not leaf.actions]
    resized = [f"{node} resize_node" for node in ("master", "slaves:1", "slaves:3")]
    assert lines == [*resized, "slaves:2 terminate_node", "slaves:2 create_node"]


def test_what_scale_down_converged_is_converged_again_with_the_new_machine(tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER / "scale-down-workflow", tmp_path / "scale-down-workflow")
    module = (folder / "dtk.module.yaml").read_text()
    module = module.replace("$node.host_address -> members", "$node.name -> members")
    head = "components: ['scale-down-workflow::head']"
    module = module.replace("actions: [scale-down-workflow::head.empty]", head)
    (folder / "dtk.module.yaml").write_text(module)
    original = replace(request(folder, "before.yaml"), state=State("scale-down-workflow", ""))
    original = replace(original, state=applied(compile_plan(original), original.state))
    plan = replacing(original, "slaves:2")
    heads = [action.attributes["members"] for leaf in plan.leaves() for action in leaf.actions if "head" in action.key]
    assert heads == [Known(["slaves:1", "slaves:3"]), Known(["slaves:1", "slaves:2", "slaves:3"])]


def test_what_does_not_answer_is_replaced_without_its_delete_actions() -> None:
    plan = replacing(applied_request(), "slaves:2", forced=True)
    assert [words(leaf) for leaf in plan.leaves()] == [
        line for line in round_of("slaves:2") if "empty" not in line and "delete" not in line
    ]


def test_a_node_without_a_machine_is_not_replaced() -> None:
    with pytest.raises(UsageError, match="no node 'slaves:9' with a machine to replace"):
        replacing(applied_request(), "slaves:9")


NEW_ADDRESSES = {f"{group}:{number}": f"10.9.9.{number}" for group in ("members", "slaves") for number in range(1, 9)}
"""The addresses of new machines, which differ from those of the machines that they replace."""


def interrupted(plan: Plan, state: State, steps: int) -> State:
    """Return the state on disk after a task died with ``steps`` of its steps done."""
    state = with_task_begun(plan, state.last_task + 1, state)
    for leaf in list(plan.leaves())[:steps]:
        state = after_step(leaf, state, NEW_ADDRESSES)
        for action in leaf.actions:
            state = changes.with_success(state, action.key, action.input_digest)
    return from_document(to_document(state), "state.json")


def ended(state: State) -> State:
    """Return the part of a state that must be the same however the task got there."""
    return replace(state, serial=0, last_task=0, unfinished=None)


def dynamic_request(folder: Path, *, is_required: bool, size: int) -> PlanRequest:
    """Return the applied request of a head with a link to its members' tokens, which their actions make."""
    folder.mkdir()
    required = ", required: true" if is_required else ""
    (folder / "dtk.module.yaml").write_text(TOKENS.format(required=required, size=size))
    (folder / "service.yaml").write_text("format_version: 1\nservice: tokens\nassembly: acme:tokens/cluster\n")
    original = replace(request(folder), state=State("tokens", ""))
    return replace(original, state=applied(compile_plan(original), original.state))


TOKENS = """
dsl_version: 1.0.0
module: acme/tokens
version: 0.1.0
components:
  head:
    attributes:
      members: {{type: array(string){required}}}
      ring: {{type: string, dynamic: true}}
    link_defs:
      tokens::member: {{attribute_mappings: [$token -> members]}}
    actions:
      create:
        commands: ["RUN echo started {{{{ members }}}}"]
        outputs: {{ring: {{command: hostname}}}}
  client:
    attributes:
      ring: {{type: string, required: true}}
    link_defs:
      tokens::head: {{attribute_mappings: [$ring -> ring]}}
    actions:
      create: {{commands: ["RUN echo {{{{ ring }}}}"]}}
      check: {{commands: ["RUN echo {{{{ ring }}}}"]}}
  member:
    attributes:
      token: {{type: string, dynamic: true}}
    actions:
      create:
        commands: [RUN echo started]
        outputs: {{token: {{command: hostname}}}}
      delete: {{commands: [RUN echo stopped]}}
assemblies:
  cluster:
    nodes:
      master: {{components: [tokens::head]}}
      edge: {{components: [tokens::client]}}
      slaves:
        attributes: {{type: group, cardinality: {size}}}
        components: [tokens::member]
    workflows:
      create:
        subtasks:
          - {{name: members, components: [tokens::member]}}
          - {{name: head, components: [tokens::head]}}
          - {{name: client, components: [tokens::client]}}
          - {{name: check, actions: [tokens::client.check]}}
"""


@pytest.mark.parametrize("is_required", [True, False])
@pytest.mark.parametrize("size", [1, 2])
def test_a_resume_after_a_delete_action_leaves_what_needs_the_deleted_values(
    tmp_path: Path, is_required: bool, size: int
) -> None:
    original = dynamic_request(tmp_path / "tokens", is_required=is_required, size=size)
    plan = replacing(original, "slaves")
    undisturbed = applied(plan, original.state, NEW_ADDRESSES)
    leaves = [*plan.leaves()]
    assert words(leaves[0]) == "slaves:1 member.delete"
    for steps in range(len(leaves) + 1):
        state = interrupted(plan, original.state, steps)
        resumed = compile_plan(replace(original, state=state, scope="resume"))
        assert ended(applied(resumed, state, NEW_ADDRESSES)) == ended(undisturbed), f"after {steps} steps"
        if steps == 1:
            rest = ["edge client.check", *(words(leaf) for leaf in leaves[1:])]
            assert [words(leaf) for leaf in resumed.leaves()] == rest, "the head is left as it is until then"


def test_what_needs_a_member_that_was_never_reached_waits_for_its_round() -> None:
    original = applied_request("peers")
    state = changes.without_node(changes.without_node(original.state, "members:1"), "alone")
    state = changes.with_node(state, "members:1", NodeState("i-1", "pending"))
    plan = replacing(replace(original, state=state), "members:1")
    lines = [words(leaf) for leaf in plan.leaves()]
    assert lines[:2] == ["alone create_node", "alone member.create"]
    assert lines[2:4] == ["members:1 terminate_node", "members:1 create_node"]
    assert sorted(lines[4:]) == ["client client.create", *(f"members:{n} member.create" for n in (1, 3, 4))]


def test_a_member_that_is_started_first_and_then_replaced_is_made_known_twice() -> None:
    original = applied_request()
    stopped = replace(original.state.nodes["slaves:3"], status="stopped")
    plan = replacing(replace(original, state=changes.with_node(original.state, "slaves:3", stopped)), "slaves")
    lines = [words(leaf) for leaf in plan.leaves()]
    assert lines[-3:] == round_of("slaves:3")[-3:]
    assert lines.count("master head.create") == 4, "once after the start, and in each round"


def test_a_value_that_is_made_again_in_a_later_round_is_passed_on_again(tmp_path: Path) -> None:
    original = dynamic_request(tmp_path / "tokens", is_required=True, size=2)
    original = replace(original, state=changes.without_applied(original.state, "slaves:2", "tokens::member"))
    without_master = changes.without_node(original.state, "master")
    plan = replacing(replace(original, state=without_master), "slaves")
    lines = [words(leaf) for leaf in plan.leaves()]
    last = lines[lines.index("slaves:2 terminate_node") :]
    assert "master head.create" in last, "the token of slaves:2 was made in an earlier round, too"
    assert "edge client.create" in last, "so was the ring"


def acquainted(state: State) -> set[tuple[str, str]]:
    """Return the pairs of different nodes of which the first is configured with the address of the second."""
    return {
        (one, other)
        for one, found in state.applied.items()
        for other, node in state.nodes.items()
        if one != other and str(node.attributes["host_address"]) in str(found)
    }


def assert_others_know_each_other_when_one_goes(plan: Plan, state: State, pairs: set[tuple[str, str]]) -> None:
    for leaf in plan.leaves():
        if leaf.type == "terminate_node":
            (batch,) = [batch for batch in plan.replaces if leaf.node in batch]
            others = {pair for pair in pairs if {*pair}.isdisjoint(batch)}
            assert others <= acquainted(state), f"before {leaf.node} goes"
        state = after_step(leaf, state, NEW_ADDRESSES)


@pytest.mark.parametrize("case", ["scale-down-workflow", "group-window", "output-of-an-action-again", "peers"])
def test_a_resume_after_any_step_comes_to_the_same_end(case: str) -> None:
    original = applied_request(case)
    group = next(name.partition(":")[0] for name in original.state.nodes if ":" in name)
    plan = replacing(original, group, max_in_flight="2")
    undisturbed = applied(plan, original.state, NEW_ADDRESSES)
    total = len(list(plan.leaves()))
    for steps in range(total + 1):
        state = interrupted(plan, original.state, steps)
        resumed = compile_plan(replace(original, state=state, scope="resume"))
        assert ended(applied(resumed, state, NEW_ADDRESSES)) == ended(undisturbed), f"after {steps} of {total} steps"
        assert_others_know_each_other_when_one_goes(resumed, state, acquainted(original.state))
        done = {leaf.node for leaf in list(plan.leaves())[:steps] if leaf.type == "terminate_node"}
        again = {leaf.node for leaf in resumed.leaves() if leaf.type == "terminate_node"}
        assert done.isdisjoint(again), "no machine is replaced twice"
        assert done | again == {node for batch in plan.replaces for node in batch}
