"""The cost of planning many members, as counts of work rather than times."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, Template

from dtk.dsl.module import load_module
from dtk.dsl.template import rendering
from dtk.model.json_data import Json
from dtk.model.json_text import RepeatedObject, indented
from dtk.model.planned_action import PlannedRun
from dtk.model.service import AttributeSetting
from dtk.plan.compile import compile_plan
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.resolve.topology import Instance, Topology
from dtk.plan.simulation import applied
from tests.plan.cases import FOLDER, request

MODULE = """\
dsl_version: 1.0.0
module: acme/many
version: 1.0.0
components:
  agent:
    attributes:
      port: {type: port, default: 8000}
      hub_port: {type: port, required: true}
      home: {type: string, required: true}
    link_defs:
      many::hub:
        required: true
        attribute_mappings: [$port -> hub_port]
      many::base:
        required: true
        attribute_mappings: [$home -> home]
    actions:
      create:
        commands:
          - RUN start --port {{ port }} --hub {{ hub_port }} --home {{ home }}
          - RUN name {{ node.name }}
          - RUN stop {{ port }}
  base:
    attributes: {home: {type: string, default: /srv}}
    actions: {create: {commands: ["RUN mkdir -p {{ home }}"]}}
  hub:
    attributes: {port: {type: port, default: 7000}}
    actions: {create: {commands: ["RUN hub {{ port }}"]}}
assemblies:
  cluster:
    nodes:
      head: {components: ['many::hub']}
      agents: {attributes: {type: group, cardinality: 2}, components: ['many::base', 'many::agent']}
"""


def of_members(tmp_path: Path, count: int) -> PlanRequest:
    """Return a request for a group of ``count`` members, each linked to one hub and to components on its own node."""
    (tmp_path / "dtk.module.yaml").write_text(MODULE)
    module = load_module(tmp_path, tmp_path)
    plain = request(FOLDER / "first-deploy")
    cardinality = AttributeSetting(count, plain.service.location)
    service = replace(
        plain.service,
        module="acme/many",
        assembly="cluster",
        attributes={"agents/cardinality": cardinality},
        components={},
    )
    return replace(plain, service=service, modules={module.name: module})


def rendered_and_looked_at(tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int, int]:
    """Plan for ``count`` members; return how many templates were rendered and parsed, and how many candidates read."""
    expected = of_members(tmp_path, count)
    counts = dict.fromkeys(("rendered", "parsed", "candidates"), 0)
    render, parse, of_type = rendering._within_bounds, Environment.parse, Topology.of_type

    def counting_render(template: Template, variables: Mapping[str, object]) -> str:
        counts["rendered"] += 1
        return render(template, variables)

    def counting_parse(self: Environment, *arguments: str) -> object:
        counts["parsed"] += 1
        return parse(self, *arguments)

    def counting_of_type(self: Topology, type_: str) -> list[Instance]:
        found = of_type(self, type_)
        counts["candidates"] += len(found)
        return found

    with monkeypatch.context() as patched:
        patched.setattr(rendering, "_within_bounds", counting_render)
        patched.setattr(Environment, "parse", counting_parse)
        patched.setattr(Topology, "of_type", counting_of_type)
        assert len([*compile_plan(expected).leaves()]) > count
    return counts["rendered"], counts["parsed"], counts["candidates"]


def test_what_does_not_name_the_node_is_rendered_once_for_all_members(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = rendered_and_looked_at(tmp_path, 10, monkeypatch)
    many = rendered_and_looked_at(tmp_path, 40, monkeypatch)
    assert many[0] - few[0] == 30, "one text of each member's names its node"
    assert many[1] <= few[1], "no text is parsed anew for a member"
    assert many[2] <= 4 * few[2], "a link reads the candidates on its own node, not those of all nodes"


def test_a_plan_of_more_members_than_a_small_network_has_is_applied_in_mind(tmp_path: Path) -> None:
    made = of_members(tmp_path, 300)
    state = applied(compile_plan(made), made.state)
    addresses = {str(node.attributes["host_address"]) for node in state.nodes.values()}
    assert len(addresses) == len(state.nodes) == 301


def test_a_member_with_a_value_of_its_own_has_its_own_texts(tmp_path: Path) -> None:
    plan = compile_plan(of_members(tmp_path, 3))
    names = [
        str(item.command)
        for leaf in plan.leaves()
        for action in leaf.actions
        for item in action.items
        if isinstance(item, PlannedRun) and str(item.command).startswith("name")
    ]
    assert names == ["name agents:1", "name agents:2", "name agents:3"]


def test_a_file_of_a_module_that_changed_is_seen_by_the_next_plan_of_the_same_process(tmp_path: Path) -> None:
    (tmp_path / "motd").write_text("first")
    text = MODULE.replace("- RUN stop {{ port }}", "- {ADD: a greeting, source: motd, target: /etc/motd}")
    (tmp_path / "dtk.module.yaml").write_text(text)
    plain = of_members(tmp_path, 2)

    def digests() -> set[str]:
        (tmp_path / "dtk.module.yaml").write_text(text)
        module = load_module(tmp_path, tmp_path)
        plan = compile_plan(replace(plain, modules={module.name: module}))
        return {value for leaf in plan.leaves() for action in leaf.actions for value in action.files.values()}

    before = digests()
    (tmp_path / "motd").write_text("second")
    assert before
    assert digests().isdisjoint(before)


TEXT = st.text(max_size=8)
DATA: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(DATA)
def test_a_document_says_what_json_says(data: Json) -> None:
    assert json.dumps(json.loads(indented(data))) == json.dumps(data)


def test_what_is_short_is_on_one_line_and_what_is_long_is_indented() -> None:
    short: Json = {"node": "slaves:2", "reasons": ["new node"], "none": [], "value": {"$reference": {"path": "a/b"}}}
    line = '{"node": "slaves:2", "reasons": ["new node"], "none": [], "value": {"$reference": {"path": "a/b"}}}'
    assert indented(short) == line
    words = "x" * 80
    assert indented([short, {"text": words, "number": 12345, "rest": [None, True, 1.5]}]) == (
        f'[\n  {line},\n  {{\n    "text": "{words}",\n    "number": 12345,\n    "rest": [null, true, 1.5]\n  }}\n]'
    )


@given(st.dictionaries(TEXT, DATA, max_size=4))
def test_a_repeated_object_is_written_as_a_plain_one_wherever_it_stands(data: dict[str, Json]) -> None:
    shared = RepeatedObject(data)
    document: Json = {"first": shared, "deeper": {"second": [shared, shared]}}
    assert indented(document) == indented({"first": data, "deeper": {"second": [data, data]}})
