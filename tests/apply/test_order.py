"""Tests of execution order: sequential stages, parallel nodes in a stage, and values passed between stages."""

from __future__ import annotations

from pathlib import Path

from dtk.model.value import Known
from tests.apply.lab import Lab, action, applied_attributes, operation, output, reference, run, stage


def meeting(folder: Path, node: str, others: int) -> str:
    """Return a command that succeeds only if ``others`` nodes run it at the same time."""
    waiting = f'until test "$(ls {folder} | wc -l)" -ge {others}'
    return f"touch {folder}/{node}; i=0; {waiting}; do i=$((i+1)); test $i -lt 300 || exit 9; sleep 0.05; done"


def alone(folder: Path, limit: int = 1) -> str:
    """Return a command that fails if more than ``limit`` nodes run it at the same time."""
    count = f'test "$(ls {folder} | wc -l)" -le {limit}'
    return f"touch {folder}/$$; {count}; code=$?; sleep 0.1; {count} || code=1; rm {folder}/$$; exit $code"


def test_stages_run_in_order_and_nodes_of_a_stage_at_once(lab: Lab, tmp_path: Path) -> None:
    nodes = ["master", "slaves:1", "slaves:2"]
    for name in nodes:
        lab.add_node(name)
    meet = tmp_path / "meet"
    meet.mkdir()
    first = stage(1, *(action(n, "m::c", run(meeting(meet, n, 3))) for n in nodes))
    second = stage(2, action("master", "m::d", run("true")))
    result = lab.apply(first, second)
    assert result.exit_code == 0, result.events
    assert result.ran == ["1.1", "1.2", "1.3", "2.1"]
    order = [(e["type"], e.get("stage")) for e in result.events if e["type"].startswith("stage.")]
    expected = [("stage.started", "1"), ("stage.finished", "1"), ("stage.started", "2"), ("stage.finished", "2")]
    assert order == expected
    assert [event["seq"] for event in result.events] == list(range(1, len(result.events) + 1))


def test_a_stage_keeps_to_its_max_in_flight(lab: Lab, tmp_path: Path) -> None:
    nodes = [f"slaves:{index}" for index in range(1, 5)]
    for name in nodes:
        lab.add_node(name)
    inside = tmp_path / "inside"
    inside.mkdir()
    result = lab.apply(
        stage(1, *(action(n, "m::c", run(alone(inside))) for n in nodes), max_in_flight=1),
        stage(2, *(action(n, "m::d", run(alone(inside, 2))) for n in nodes), max_in_flight="50%"),
    )
    assert result.exit_code == 0, result.events


def test_one_connection_serves_a_node_for_the_whole_task(lab: Lab) -> None:
    server = lab.add_node("master")
    items = (run("true"), operation("files.directory", {"path": str(server.home / "made")}))
    text = operation("files.put", {"src": "a.txt", "dest": str(server.home / "a.txt")})
    module = lab.workspace.root / "modules/test/mod"
    module.mkdir(parents=True)
    (module / "a.txt").write_text("a\n")
    digest = "87428fc522803d31065e7bce3cf03fe475096631e5e07bbd7a0fde60c4cf25c7"
    actions = [action("master", f"m::c{n}", *items, text, files={"a.txt": digest}) for n in range(3)]
    result = lab.apply(*(stage(n, one) for n, one in enumerate(actions, 1)), modules={"test/mod": module})
    assert result.exit_code == 0, result.events
    assert server.logins == 1
    assert (server.home / "a.txt").read_text() == "a\n"


def test_a_value_made_in_one_stage_is_used_in_the_next(lab: Lab) -> None:
    lab.add_node("master")
    lab.add_node("slaves:1")
    path = "master/dask::scheduler/address"
    makes = action(
        "master",
        "dask::scheduler",
        run("echo 4711 > pid"),
        attributes={"port": 8786},
        outputs=(
            output("master/dask::scheduler/pid", "cat pid", type_="integer"),
            output("master/dask::scheduler/kernel", "server.Kernel", "fact"),
            output(path, "tcp://{{ node.host_address }}:{{ port }}/{{ pid }}", "expression"),
        ),
    )
    uses = action(
        "slaves:1",
        "dask::worker",
        run({"$template": "echo {{ scheduler }} {{ where }}", "shell": True}),
        attributes={
            "scheduler": reference(path, "string"),
            "where": {"$text": ["at ", reference("master/host_address", "string")]},
        },
    )
    result = lab.apply(stage(1, makes), stage(2, uses))
    assert result.exit_code == 0, result.events
    (done,) = result.of("operation.finished", step="2.1")
    assert done["stdout"] == "tcp://127.0.0.1:8786/4711 at 127.0.0.1"
    assert lab.state.attributes["master/dask::scheduler/pid"] == 4711
    assert applied_attributes(lab, "slaves:1", "dask::worker") == {
        "scheduler": "tcp://127.0.0.1:8786/4711",
        "where": "at 127.0.0.1",
    }
    assert result.of("attribute.set", path=path, value="tcp://127.0.0.1:8786/4711")


def test_an_assembly_wide_action_runs_in_the_control_process(lab: Lab) -> None:
    lab.add_node("master")
    compute = action(
        "assembly_wide",
        "multi",
        attributes={"names": ["a", "b"]},
        outputs=(output("multi/joined", "{{ names | join('+') }}", "expression"),),
    )
    result = lab.apply(stage(1, compute))
    assert result.exit_code == 0, result.events
    assert lab.state.attributes["multi/joined"] == "a+b"
    assert result.step("1.1")["node"] == "assembly_wide"


def test_guards_decide_whether_an_item_runs(lab: Lab) -> None:
    server = lab.add_node("master")
    items = (
        run("touch never", **{"if": "test -e nothing"}),
        run("touch first", unless="test -e first"),
        run("touch second", unless="test -e first"),
        run("touch third", **{"if": "test -e first"}),
    )
    result = lab.apply(stage(1, action("master", "m::c", *items)))
    assert result.exit_code == 0, result.events
    assert sorted(path.name for path in server.home.iterdir()) == ["first", "third"]
    assert [e.get("skipped", False) for e in result.of("operation.finished")] == [True, False, True, False]


def test_an_operation_tells_whether_it_changed_anything(lab: Lab) -> None:
    server = lab.add_node("master")
    directory = operation("files.directory", {"path": str(server.home / "data")})
    result = lab.apply(stage(1, action("master", "m::c", directory, directory)))
    assert [event["changed"] for event in result.of("operation.finished")] == [True, False]


def test_what_an_applied_component_was_made_from_goes_into_the_state(lab: Lab) -> None:
    lab.add_node("master")
    applied = action("master", "m::c", run("true"), attributes={"port": 1}, action_digest="a" * 64)
    lab.apply(stage(1, applied))
    entry = lab.state.applied["master"]["m::c"]
    assert (entry.module, entry.action_digest, entry.attributes, entry.task) == (
        *("test/mod", "a" * 64),
        *({"port": Known(1)}, 1),
    )
    assert lab.state.unfinished is None
    lab.apply(stage(1, action("master", "m::c", run("true"), name="delete")))
    assert lab.state.applied == {}
    assert lab.state.last_task == 2
