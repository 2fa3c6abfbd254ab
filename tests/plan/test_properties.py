"""Properties of the plan of any valid module: order, completeness, stability. The modules are generated."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dtk.dsl.module import load_module
from dtk.errors import Location
from dtk.model.plan import Plan
from dtk.model.service import Service
from dtk.model.value import plain, references
from dtk.plan.compile import compile_plan
from dtk.plan.document import to_text
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.simulation import applied
from dtk.state.model import State
from dtk.targets import EMBEDDED

GROUP = "workers"
NODES = ("alpha", GROUP, "zeta")
TITLES = ("one", "two")
EXAMPLES = 40


@dataclass(frozen=True)
class Sketch:
    """A module before it is written: component ``c2`` links to or depends on components with lower numbers.

    ``titled`` components have two instances on each of their nodes. ``templated`` components take a value that is a
    template over the assembly's attributes; if there are any, the number of members is such a template as well.
    """

    places: tuple[frozenset[str], ...]
    links: tuple[frozenset[int], ...]
    same_node: tuple[frozenset[int], ...]
    holders: frozenset[int]
    cardinality: int
    written: bool
    blocks: tuple[int, ...] = ()
    orders: tuple[bool, ...] = field(default=())
    titled: frozenset[int] = frozenset()
    templated: frozenset[int] = frozenset()


@st.composite
def sketches(draw: st.DrawFn) -> Sketch:
    count = draw(st.integers(1, 6))
    places, links, same_node = [], [], []
    for index in range(count):
        places.append(draw(st.frozensets(st.sampled_from(NODES), min_size=1)))
        lower = st.frozensets(st.sampled_from(range(index)), max_size=3) if index else st.just(frozenset())
        links.append(draw(lower))
        near = [other for other in range(index) if places[index] <= places[other] and other not in links[index]]
        same_node.append(draw(st.frozensets(st.sampled_from(near), max_size=2)) if near else frozenset())
    return Sketch(
        places=tuple(places),
        links=tuple(links),
        same_node=tuple(same_node),
        holders=draw(st.frozensets(st.sampled_from(range(count)), max_size=2)),
        titled=draw(st.frozensets(st.sampled_from(range(count)), max_size=3)),
        templated=draw(st.frozensets(st.sampled_from(range(count)), max_size=3)),
        cardinality=draw(st.integers(1, 3)),
        written=draw(st.booleans()),
        blocks=tuple(draw(st.lists(st.integers(1, 3), max_size=4))),
        orders=tuple(draw(st.lists(st.booleans(), max_size=4))),
    )


def written_module(sketch: Sketch) -> dict[str, Any]:
    count = len(sketch.places)
    assembly: dict[str, Any] = {"nodes": {node: _node(sketch, node) for node in NODES}}
    if sketch.templated:
        members = {"type": "integer", "default": sketch.cardinality}
        assembly["attributes"] = {"word": {"default": "said"}, "members": members}
    if sketch.written:
        assembly["workflows"] = {"create": {"subtasks": _subtasks(sketch, range(count))}}
    components = {f"c{index}": _component(sketch, index) for index in range(count)}
    return {"dsl_version": "1.0.0", "module": "acme/made", "components": components, "assemblies": {"all": assembly}}


def _component(sketch: Sketch, index: int) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "setting": {"default": f"s{index}"},
        "options": {"type": "hash", "default": {"key": f"k{index}"}},
        "names": {"type": "array(string)", "default": [f"n{index}", "n"]},
        "clients": {"type": "hash", "default": {}},
        "made": {"dynamic": True},
        "all_made": {"type": "array(string)", "dynamic": True},
    }
    link_defs = {}
    for other in sorted(sketch.links[index]):
        sources = _sources(other in sketch.holders)
        attributes |= {f"{name}_{other}": {"type": "array"} for name in sources}
        mappings = [f"{source} -> {name}_{other}" for name, source in sources.items()]
        mappings += [f"clients[c{index}] <- $setting", f"clients[text{index}] <- of-${{setting}}"]
        link_defs[f"made::c{other}"] = {"attribute_mappings": mappings}
    needed = sorted(sketch.links[index] | sketch.same_node[index])
    component: dict[str, Any] = {"attributes": attributes, "link_defs": link_defs}
    if index in sketch.titled:
        attributes["name"] = {}
        component["singleton"] = False
    component["dependencies"] = [f"made::c{other}" for other in needed]
    if index in sketch.holders:
        del attributes["made"], attributes["all_made"]
        return component
    words = " ".join(f"{{{{ {name} }}}}" for name in attributes if name not in ("made", "all_made"))
    run = f"RUN echo {words} > c{index}"
    outputs = {name: {"command": f"cat c{index}"} for name in ("made", "all_made")}
    component["actions"] = {"create": {"commands": [run], "outputs": outputs}}
    return component


def _sources(of_a_holder: bool) -> dict[str, str]:
    """Return what a link transfers, always into arrays: single values, elements, texts, lists, outputs."""
    known = {
        "setting": "$setting",
        "host": "$node.host_address",
        "key": "$options[key]",
        "text": "${setting}@${node.host_address}",
        "names": "$names",
    }
    made = {"made": "$made", "made_text": "made-${made}-by-${setting}", "all": "$all_made"}
    return known if of_a_holder else known | made


def _node(sketch: Sketch, node: str) -> dict[str, Any]:
    uses = [index for index, places in enumerate(sketch.places) if node in places]
    cardinality = "{{ members }}" if sketch.templated else sketch.cardinality
    attributes = {"type": "group", "cardinality": cardinality} if node == GROUP else {}
    components = [_use(sketch, index, name) for index in reversed(uses) for name in instances(sketch, index)]
    return {"attributes": attributes, "components": components}


def instances(sketch: Sketch, index: int) -> list[str]:
    """Return the names of a component's instances on each of its nodes."""
    return [f"made::c{index}[{title}]" for title in TITLES] if index in sketch.titled else [f"made::c{index}"]


def _use(sketch: Sketch, index: int, name: str) -> Any:
    links = {
        f"made::c{other}": [f"{node}/{o}" for node in sorted(sketch.places[other]) for o in instances(sketch, other)]
        for other in sorted(sketch.links[index])
    }
    values = {"setting": "{{ word }}-" + str(index), "names": ["{{ word }}"]} if index in sketch.templated else {}
    body = {key: value for key, value in (("component_links", links), ("attributes", values)) if value}
    return {name: body} if body else name


def _subtasks(sketch: Sketch, indices: range) -> list[dict[str, Any]]:
    """Return stages of one component each, some of them in blocks; a concurrent block has no dependencies inside."""
    stages: list[dict[str, Any]] = []
    position = 0
    for size, concurrent in zip((*sketch.blocks, *[1] * len(indices)), (*sketch.orders, *[False] * 20), strict=False):
        block = list(indices[position : position + size])
        position += size
        inner = [{"name": f"stage {index}", "components": instances(sketch, index)} for index in block]
        free = not any((sketch.links[index] | sketch.same_node[index]) & set(block) for index in block)
        if len(block) > 1:
            order = "concurrent" if concurrent and free else "sequential"
            stages.append({"name": f"block {position}", "subtask_order": order, "subtasks": inner})
        else:
            stages += inner
    return stages


def request_for(sketch: Sketch, state: State | None = None) -> PlanRequest:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "acme" / "made"
        folder.mkdir(parents=True)
        (folder / "dtk.module.yaml").write_text(json.dumps(written_module(sketch), indent=1))
        module = load_module(folder, folder)
    module = replace(module, folder=Path("/nowhere"))
    service = Service("made1", "acme/made", "all", "local", Location("service.yaml", 1, 1))
    return PlanRequest(service, {module.name: module}, {}, state or State("made1", ""), EMBEDDED)


def members(sketch: Sketch, node: str) -> list[str]:
    return [f"{GROUP}:{number}" for number in range(1, sketch.cardinality + 1)] if node == GROUP else [node]


def converged(plan: Plan) -> list[tuple[str, str]]:
    """Return what a plan converges, in the order of its steps."""
    return [(action.node, action.component) for leaf in plan.leaves() for action in leaf.actions]


def promises(sketch: Sketch) -> None:
    request = request_for(sketch)
    plan = compile_plan(request)
    assert_every_value_is_made_before_it_is_taken(plan)
    expected = Counter(
        (member, name)
        for index, places in enumerate(sketch.places)
        for node in places
        for member in members(sketch, node)
        for name in instances(sketch, index)
        if sketch.written or index not in sketch.holders
    )
    assert Counter(converged(plan)) == expected
    assert_links_bring_all_values(sketch, plan)
    assert to_text(compile_plan(request_for(sketch))) == to_text(plan)
    after = applied(plan, request.state)
    assert compile_plan(replace(request, state=after)).is_empty
    again = compile_plan(replace(request, state=after, scope="all"))
    assert converged(again) == converged(plan)
    assert_every_value_is_made_before_it_is_taken(again)


def assert_links_bring_all_values(sketch: Sketch, plan: Plan) -> None:
    """Check that every instance and member adds its values to lists and hashes, including values of templates."""

    def setting(index: int) -> str:
        return f"said-{index}" if index in sketch.templated else f"s{index}"

    for action in (action for leaf in plan.leaves() for action in leaf.actions):
        index = int(action.component.removeprefix("made::c").partition("[")[0])
        assert plain(action.attributes["setting"]) == setting(index)
        users = [user for user, links in enumerate(sketch.links) if index in links]
        clients = {f"c{user}": setting(user) for user in users} | {f"text{u}": f"of-{setting(u)}" for u in users}
        assert plain(action.attributes["clients"]) == clients
        for other in sketch.links[index]:
            names = ["said"] if other in sketch.templated else [f"n{other}", "n"]
            count = len(instances(sketch, other)) * sum(len(members(sketch, node)) for node in sketch.places[other])
            assert plain(action.attributes[f"names_{other}"]) == names * count
            assert plain(action.attributes[f"key_{other}"]) == [f"k{other}"] * count


def assert_every_value_is_made_before_it_is_taken(plan: Plan) -> None:
    made: set[str] = {f"{change.node}/host_address" for change in plan.nodes if change.change == "keep"}
    for stage in plan.stages:
        in_stage: set[str] = set()
        for leaf in stage.leaves():
            here = set(made)
            if leaf.type == "create_node":
                in_stage.add(f"{leaf.node}/host_address")
            for action in leaf.actions:
                taken = {path for value in action.attributes.values() for path in references(value)}
                assert taken <= here, f"stage {stage.number}: {action.key} takes {taken - here}"
                outputs = {output.attribute for output in action.outputs}
                here |= outputs
                in_stage |= outputs
        made |= in_stage


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(
    # Two parallel branches of stages on one node.
    Sketch(
        places=(frozenset(NODES), frozenset({"alpha"}), frozenset({"alpha"})),
        links=(frozenset(), frozenset(), frozenset()),
        same_node=(frozenset(), frozenset(), frozenset()),
        holders=frozenset(),
        cardinality=2,
        written=True,
        blocks=(3,),
        orders=(True,),
    )
)
@given(sketches())
def test_the_plan_of_any_valid_module_keeps_its_promises(sketch: Sketch) -> None:
    promises(sketch)
