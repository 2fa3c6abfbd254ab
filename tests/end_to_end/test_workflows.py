"""What workflows pass on, on real nodes: outputs to later stages of a task, parameters to the workflows they call."""

from __future__ import annotations

from typing import Any

from tests.support.command_line import Dtk

MODULE = """
dsl_version: 1.0.0
module: acme/flow
version: 0.1.0
components:
  hub:
    attributes: {port: {type: port, default: 7000}, token: {dynamic: true}, where: {dynamic: true, input: true}}
    actions:
      create: {commands: ['RUN echo {{ port }} > port'], outputs: {where: {command: echo found}}}
      token: {commands: [RUN echo . >> tokens], outputs: {token: {command: wc -l < tokens}}}
  agent:
    attributes: {url: {required: true}, broken: {type: boolean, default: false}, where: {}}
    dependencies: [flow::hub]
    link_defs: {flow::hub: {attribute_mappings: ['t${token} -> url', $where -> where]}}
    actions:
      create:
        commands: [{RUN: 'false', when: '{{ broken }}'}, 'RUN echo made with {{ url }}', 'RUN echo at {{ where }}']
      greet: {parameters: {who: {}}, commands: ['RUN echo hello {{ who }}']}
      tell: {commands: ['RUN echo told {{ url }}']}
assemblies:
  pair:
    nodes:
      center: {components: [flow::hub]}
      other: {components: [flow::agent]}
    workflows:
      create:
        subtasks:
          - {name: hub, components: [flow::hub]}
          - {name: token, actions: [flow::hub.token]}
          - {name: agents, components: [flow::agent]}
      renew:
        subtasks:
          - {name: before, actions: [flow::agent.tell]}
          - {name: token, actions: [flow::hub.token]}
          - {name: after, actions: [flow::agent.tell]}
      greet:
        name: greet {{who}}
        parameters: {who: {default: nobody}}
        action: flow::agent.greet
      visit:
        subtasks:
          - {workflow: greet, parameters: {who: '{{guest}}'}}
          - {workflow: renew}
          - {workflow: greet}
"""


def staged(dtk: Dtk) -> None:
    """Stage the assembly as flow1."""
    folder = dtk.root / "modules/acme/flow"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE.lstrip())
    dtk.run("stage", "acme:flow/pair", "flow1")


def output(dtk: Dtk, task: int) -> list[str]:
    """Return what the commands of a task printed, in order."""
    events: list[dict[str, Any]] = dtk.events("flow1", task)
    return [
        text for event in events if event["type"] == "operation.finished" and (text := event.get("stdout", "").strip())
    ]


def test_workflows_hand_on_outputs_and_parameters(dtk: Dtk) -> None:
    staged(dtk)
    _what_an_action_puts_out_reaches_what_comes_after_it_in_the_same_task(dtk)
    _a_workflow_that_is_called_gets_its_parameters(dtk)
    _a_resume_repeats_no_action_for_its_own_outputs(dtk)


def _a_workflow_that_is_called_gets_its_parameters(dtk: Dtk) -> None:
    assert "The variable 'guest'" in dtk.run("exec", "flow1", "visit", code=2).stderr
    dtk.run("exec", "flow1", "visit", "guest=eve")
    assert [text for text in output(dtk, 5) if text] == ["hello eve", "told t4", "told t5", "hello nobody"]
    names = [stage["name"] for stage in dtk.events("flow1", 5)[0]["stages"]]
    assert names == ["greet eve", "before", "token", "after", "greet nobody"]


def _what_an_action_puts_out_reaches_what_comes_after_it_in_the_same_task(dtk: Dtk) -> None:
    dtk.run("converge", "flow1")
    assert output(dtk, 1)[-2:] == ["made with t1", "at found"]
    dtk.run("set-attribute", "flow1", "center/flow::hub/port", "7001")
    dtk.run("apply", "flow1", "--yes")
    assert "made with t2" in output(dtk, 2)
    dtk.run("exec", "flow1", "renew")
    assert [text for text in output(dtk, 3) if text.startswith("told")] == ["told t2", "told t3"]
    dtk.run("apply", "flow1", "--yes")
    assert "made with t4" in output(dtk, 4)
    dtk.run("plan", "flow1", "--detailed-exitcode", code=0)


def _a_resume_repeats_no_action_for_its_own_outputs(dtk: Dtk) -> None:
    dtk.run("set-attribute", "flow1", "center/flow::hub/port", "7002")
    dtk.run("set-attribute", "flow1", "center/flow::hub/where", "given")
    dtk.run("set-attribute", "flow1", "other/flow::agent/broken", "true")
    dtk.run("apply", "flow1", "--yes", code=1)
    dtk.run("set-attribute", "flow1", "other/flow::agent/broken", "false")
    dtk.run("apply", "flow1", "--resume", "--yes")
    assert [stage["name"] for stage in dtk.events("flow1", 7)[0]["stages"]] == ["agents"]
    assert output(dtk, 7) == ["made with t6", "at given"]
