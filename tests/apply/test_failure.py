"""Tests of failing steps: the reason is reported, sibling steps finish, later stages don't start, resuming works."""

from __future__ import annotations

from tests.apply.lab import Lab, action, is_running, operation, output, reference, run, stage, wait_until


def test_a_failure_lets_siblings_finish_and_later_stages_not_start(lab: Lab) -> None:
    for name in ("master", "slaves:1"):
        lab.add_node(name)
    fails = action("master", "m::c", run("echo nothing to be had; exit 7"))
    result = lab.apply(
        stage(1, fails, action("slaves:1", "m::c", run("sleep 0.5; touch done"))),
        stage(2, action("slaves:1", "m::d", run("true"))),
    )
    assert result.exit_code == 1
    assert result.step("1.1")["status"] == "failed"
    assert result.step("1.2")["status"] == "succeeded"
    assert result.ran == ["1.1", "1.2"]
    (ended,) = result.of("stage.finished")
    assert (ended["stage"], ended["status"]) == ("1", "failed")
    assert result.end["status"] == "failed"
    assert result.end["next_command"] == "dtk apply dask1 --resume"


def test_an_error_names_component_command_exit_code_and_the_last_output_of_both_streams(lab: Lab) -> None:
    lab.add_node("master")
    result = lab.apply(stage(1, action("master", "m::c", run("echo on stdout; echo on stderr >&2; exit 3"))))
    error = result.step("1.1")["error"]
    assert error["component"] == "m::c"
    assert error["command"] == "echo on stdout; echo on stderr >&2; exit 3"
    assert error["exit_code"] == 3
    assert sorted(error["output"].splitlines()) == ["on stderr", "on stdout"]
    assert error["type"] == "USER"
    assert "exited with code 3" in error["message"]
    (done,) = result.of("operation.finished")
    assert (done["exit_code"], done["stdout"], done["stderr"]) == (3, "on stdout", "on stderr")


def test_a_failing_operation_keeps_its_output(lab: Lab) -> None:
    lab.add_node("master")
    shell = operation("server.shell", {"commands": ["true", "echo the reason; false", "touch never"]})
    result = lab.apply(stage(1, action("master", "m::c", shell)))
    error = result.step("1.1")["error"]
    assert (error["command"], error["exit_code"], error["output"]) == ("echo the reason; false", 1, "the reason")
    assert not (lab.servers["master"].home / "never").exists()


def test_a_failing_smoke_test_is_a_test_error(lab: Lab) -> None:
    lab.add_node("master")
    result = lab.apply(stage(1, action("master", "m::c", run("exit 1"), name="smoke_test")))
    assert result.step("1.1")["error"]["type"] == "TEST"


def test_wrong_arguments_of_an_operation_are_told(lab: Lab) -> None:
    lab.add_node("master")
    wrong = operation("files.directory", {"path": "/tmp", "no_such": 1})
    result = lab.apply(stage(1, action("master", "m::c", wrong)))
    assert "no_such" in result.step("1.1")["error"]["message"]


def test_an_upload_that_is_not_possible_says_where_it_should_have_gone(lab: Lab) -> None:
    server = lab.add_node("master")
    (server.home / "file").write_text("")
    put = operation("server.script_template", {"src": "a", "args": []})
    module = lab.workspace.root / "modules/test/mod"
    module.mkdir(parents=True)
    (module / "a").write_text("")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    put = operation("files.put", {"src": "a", "dest": str(server.home / "file/below"), "create_remote_dir": False})
    result = lab.apply(stage(1, action("master", "m::c", put, files={"a": empty})), modules={"test/mod": module})
    assert "file/below" in result.step("1.1")["error"]["message"]


def test_an_action_is_tried_again_as_often_as_it_says(lab: Lab) -> None:
    server = lab.add_node("master")
    third_time = run("echo x >> tries; test $(wc -l < tries) -eq 3")
    result = lab.apply(stage(1, action("master", "m::c", third_time, retries=3, retry_delay=0.05)))
    assert result.exit_code == 0
    assert (server.home / "tries").read_text().count("x") == 3
    assert [(e["attempt"], e["attempts"]) for e in result.of("step.retrying")] == [(2, 4), (3, 4)]
    assert result.step("1.1")["status"] == "succeeded"


def test_a_command_is_tried_again_without_what_came_before_it(lab: Lab) -> None:
    server = lab.add_node("master")
    items = (run("echo x >> before"), run("echo x >> tries; test $(wc -l < tries) -eq 2", retries=1))
    result = lab.apply(stage(1, action("master", "m::c", *items, retry_delay=0.05)))
    assert result.exit_code == 0
    assert (server.home / "before").read_text() == "x\n"


def test_a_command_that_takes_too_long_is_ended_on_the_node(lab: Lab) -> None:
    server = lab.add_node("master")
    slow = run("echo $$ > pid; echo begun; sleep 300 & echo $! > child; wait", timeout=3)
    result = lab.apply(stage(1, action("master", "m::c", slow)))
    error = result.step("1.1")["error"]
    assert "timed out after 3 s" in error["message"]
    assert error["output"] == "begun"
    for name in ("pid", "child"):
        assert not is_running(int((server.home / name).read_text()))


def test_an_action_that_takes_too_long_leaves_what_it_started_before_alone(lab: Lab) -> None:
    server = lab.add_node("master")
    daemon = run("setsid sleep 60 > /dev/null 2>&1 < /dev/null & echo $! > daemon")
    result = lab.apply(stage(1, action("master", "m::c", daemon, run("sleep 300"), timeout=4)))
    pid = int((server.home / "daemon").read_text())
    try:
        assert result.exit_code == 1
        assert "timed out after 4 s" in result.step("1.1")["error"]["message"]
        assert is_running(pid)
    finally:
        lab.servers["master"].kill(pid)
    wait_until(lambda: not is_running(pid))


def test_a_step_goes_on_after_an_action_that_may_fail(lab: Lab) -> None:
    lab.add_node("master")
    may_fail = action("master", "m::c", run("exit 1"), on_failure="continue", input_digest="2" * 64)
    then = action("master", "m::d", run("touch there"))
    both = stage(1, may_fail)
    step = both.steps[0]
    result = lab.apply(
        type(both)("1", "both", (type(step)("1.1", "configure_node", "master", actions=(may_fail, then)),))
    )
    assert result.exit_code == 0
    assert (lab.servers["master"].home / "there").exists()
    assert list(lab.state.applied["master"]) == ["m::d"]


def test_a_missing_value_fails_the_step_that_needs_it(lab: Lab) -> None:
    lab.add_node("master")
    needs = action("master", "m::c", run("true"), attributes={"x": reference("slaves:9/host_address", "string")})
    result = lab.apply(stage(1, needs))
    assert "slaves:9/host_address" in result.step("1.1")["error"]["message"]


def test_an_output_of_the_wrong_type_fails_the_step(lab: Lab) -> None:
    lab.add_node("master")
    wrong = action("master", "m::c", run("true"), outputs=(output("master/m::c/port", "echo none", type_="port"),))
    result = lab.apply(stage(1, wrong))
    assert "not of type port" in result.step("1.1")["error"]["message"]
    assert lab.state.attributes == {}


def test_what_has_succeeded_is_noted_until_a_task_succeeds(lab: Lab) -> None:
    server = lab.add_node("master")
    first = action("master", "m::a", run("echo x >> a"), input_digest="a" * 64)
    second = action("master", "m::b", run("test -e fixed"), input_digest="b" * 64)
    assert lab.apply(stage(1, first), stage(2, second)).exit_code == 1
    unfinished = lab.state.unfinished
    assert unfinished is not None
    assert (unfinished.task, unfinished.workflow) == (1, "create")
    assert unfinished.succeeded == {"master m::a.create": "a" * 64}
    # A resuming task repeats only the rest. Earlier successes stay recorded even if it fails again.
    assert lab.apply(stage(1, second), resumes=1).exit_code == 1
    unfinished = lab.state.unfinished
    assert unfinished is not None
    assert (unfinished.task, unfinished.succeeded) == (2, {"master m::a.create": "a" * 64})
    (server.home / "fixed").touch()
    assert lab.apply(stage(1, second), resumes=2).exit_code == 0
    assert lab.state.unfinished is None


def test_a_bug_in_dtk_is_told_in_the_log(lab: Lab) -> None:
    lab.add_node("master")
    broken = {"$typed": {"type": "no type", "of": reference("master/host_address", "string")}}
    result = lab.apply(stage(1, action("master", "m::c", run("true"), attributes={"x": broken})))
    error = result.step("1.1")["error"]
    assert error["type"] == "SERVER"
    assert "worker.log" in error["message"]
    assert "Traceback" in (result.folder / "worker.log").read_text()
    assert result.end["status"] == "failed"
