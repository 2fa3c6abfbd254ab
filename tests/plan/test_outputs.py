"""Outputs of actions in any workflow: later steps use the new values, earlier steps do not."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from dtk.dsl.module import load_module
from dtk.errors import InvalidError, Location
from dtk.model.plan import Plan
from dtk.model.service import Service
from dtk.model.value import references
from dtk.plan.compile import compile_plan
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.simulation import applied
from dtk.state.model import State
from dtk.targets import EMBEDDED


@dataclass(frozen=True)
class Sketch:
    """A workflow of single items: each of ``count`` components is converged, and some run their ``token`` action."""

    count: int
    order: tuple[tuple[int, str], ...]
    takes: tuple[frozenset[int], ...]
    required: bool


@st.composite
def sketches(draw: st.DrawFn) -> Sketch:
    count = draw(st.integers(2, 4))
    makers = draw(st.frozensets(st.sampled_from(range(count))))
    items = [*((index, "create") for index in range(count)), *((index, "token") for index in sorted(makers))]
    others = [st.frozensets(st.sampled_from([o for o in range(count) if o != index])) for index in range(count)]
    return Sketch(count, tuple(draw(st.permutations(items))), tuple(draw(st.tuples(*others))), draw(st.booleans()))


def component(sketch: Sketch, index: int) -> dict[str, Any]:
    given_value = {"required": True} if sketch.required else {"default": "none"}
    taken = sorted(sketch.takes[index])
    return {
        "attributes": {"token": {"dynamic": True}, **{f"t{other}": given_value for other in taken}},
        "link_defs": {f"made::c{other}": {"attribute_mappings": [f"$token -> t{other}"]} for other in taken},
        "actions": {
            "create": {"commands": ["RUN true"]},
            "token": {"commands": ["RUN date > token"], "outputs": {"token": {"command": "cat token"}}},
        },
    }


def request_for(sketch: Sketch) -> PlanRequest:
    stages = [{"name": f"{action} {index}", "actions": [f"made::c{index}.{action}"]} for index, action in sketch.order]
    nodes = {f"n{index}": {"components": [f"made::c{index}"]} for index in range(sketch.count)}
    document = {
        "dsl_version": "1.0.0",
        "module": "acme/made",
        "components": {f"c{index}": component(sketch, index) for index in range(sketch.count)},
        "assemblies": {"all": {"nodes": nodes, "workflows": {"create": {"subtasks": stages}}}},
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "acme" / "made"
        folder.mkdir(parents=True)
        (folder / "dtk.module.yaml").write_text(json.dumps(document))
        module = replace(load_module(folder, folder), folder=Path("/nowhere"))
    service = Service("made1", "acme/made", "all", "local", Location("service.yaml", 1, 1))
    return PlanRequest(service, {module.name: module}, {}, State("made1", ""), EMBEDDED)


def assert_only_what_comes_later_takes_outputs_anew(plan: Plan, sketch: Sketch) -> None:
    made: set[str] = set()
    for action in (action for leaf in plan.leaves() for action in leaf.actions):
        for other in sketch.takes[int(action.component[-1])]:
            path = f"n{other}/made::c{other}/token"
            assert (path in references(action.attributes[f"t{other}"])) == (path in made), (action.key, path)
        made |= {str(output.attribute) for output in action.outputs}


@settings(max_examples=50, deadline=None)
@given(sketches())
def test_only_what_comes_later_takes_the_outputs_of_an_action_anew(sketch: Sketch) -> None:
    request = request_for(sketch)
    try:
        plan = compile_plan(request)
    except InvalidError as error:
        # A required value without an old one: it is produced too late, or by nothing.
        assert sketch.required
        messages = [problem.message for problem in error.problems]
        assert all(" uses " in message or "is required, but unset" in message for message in messages)
        event("refused")
        return
    assert_only_what_comes_later_takes_outputs_anew(plan, sketch)
    after = applied(plan, request.state)
    event("what came too early follows" if not compile_plan(replace(request, state=after)).is_empty else "done at once")
    for scope in ("changes", "all"):
        again = compile_plan(replace(request, state=after, scope=scope))
        assert_only_what_comes_later_takes_outputs_anew(again, sketch)
