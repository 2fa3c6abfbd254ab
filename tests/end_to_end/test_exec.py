"""``dtk exec`` on real nodes: workflows with parameters, single actions, and what continues after a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Dtk

MODULE = """
dsl_version: 1.0.0
module: acme/data
version: 0.1.0
components:
  set:
    singleton: false
    attributes: {name: {}, dir: {dynamic: true}, install: {default: pypi}}
    actions:
      create:
        operations:
          - {when: "{{ install == 'pypi' }}", operations: [{files.directory: {path: 'sets/{{ name }}'}}]}
          - {when: "{{ install == 'packages' }}", apt.packages: {packages: [there-is-no-such-package]}}
        outputs: {dir: 'sets/{{ name }}'}
      load:
        parameters: {who: null, count: {type: integer, default: 3}}
        commands:
          - RUN echo {{ who }} {{ count + 1 }} >> {{ dir }}/out
          - RUN test ! -e {{ dir }}/../../closed
      look: {commands: [RUN true]}
assemblies:
  one:
    nodes:
      main: {components: ['data::set[jan]']}
      others: {attributes: {type: group, cardinality: 2}, components: ['data::set[jan]']}
    workflows:
      create:
        subtasks: [{name: sets, components: [data::set]}, {name: look, actions: ['data::set[jan].look']}]
      load:
        subtasks:
          - {name: 'converge {{name}}', components: ['data::set[{{name}}]']}
          - {name: 'load {{name}}', actions: ['data::set[{{name}}].load who={{user}}'], canary: 1}
"""


@pytest.fixture
def service(dtk: Dtk) -> str:
    folder = dtk.root / "modules/acme/data"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE.lstrip())
    dtk.run("stage", "acme:data/one", "data1")
    return "data1"


def homes(dtk: Dtk, service: str) -> dict[str, Path]:
    return {node["node"]: Path(node["attributes"]["home"]) for node in dtk.json("list-nodes", service)}


def test_a_workflow_makes_the_nodes_and_goes_on_after_a_failure_with_the_same_parameters(
    dtk: Dtk, service: str
) -> None:
    refused = dtk.run("exec", service, "data::set.load", "who=ada", code=1)
    assert "Cannot execute the action because the following node(s) is not running: main" in refused.stderr
    done = dtk.run("exec", service, "load", "name=jan", "user=ada")
    assert "converge jan" in done.stdout
    assert "load jan" in done.stdout
    found = homes(dtk, service)
    assert {(home / "sets/jan/out").read_text() for home in found.values()} == {"ada 4\n"}
    (found["main"] / "closed").touch()
    dtk.run("exec", service, "load", "name=jan", "user=eve", code=1)
    (found["main"] / "closed").unlink()
    dtk.run("apply", service, "--resume", "--yes")
    assert (found["main"] / "sets/jan/out").read_text().splitlines()[-1] == "eve 4"
    assert (found["others:1"] / "sets/jan/out").read_text() == "ada 4\neve 4\n"
    assert "Nothing to do" in dtk.run("plan", service).stdout


def test_an_action_runs_on_one_node_with_its_parameters(dtk: Dtk, service: str) -> None:
    dtk.run("converge", service)
    dtk.run("exec", service, "others:2/data::set[jan].load", "who=two words", "count=9")
    found = homes(dtk, service)
    assert (found["others:2"] / "sets/jan/out").read_text() == "two words 10\n"
    (found["main"] / "closed").touch()
    dtk.run("exec", service, "main/data::set[jan].load", "who=ada", code=1)
    left = dtk.run("plan", service, "--detailed-exitcode")
    assert "Nothing to do" in left.stdout, "what exec ran is no part of the service"
    assert "Nothing to do" in dtk.run("apply", service, "--yes").stdout
    assert not (found["others:1"] / "sets/jan/out").exists()
    assert "Parameter 'who' is not set" in dtk.run("exec", service, "data::set.load", code=2).stderr
    assert "did you mean 'load'" in dtk.run("exec", service, "laod", "name=jan", code=2).stderr


def test_a_parameter_is_one_word_and_its_value_holds_anything(dtk: Dtk, service: str) -> None:
    dtk.run("converge", service)
    (dtk.root / "values.yaml").write_text("who: a,b=c\ncount: 4\n")
    dtk.run("exec", service, "main/data::set[jan].load", "who=opt=rw,uid=1000")
    dtk.run("exec", service, "main/data::set[jan].load", "--values", "values.yaml")
    dtk.run("exec", service, "main/data::set[jan].load", "--values", "values.yaml", "count=7")
    out = homes(dtk, service)["main"] / "sets/jan/out"
    assert out.read_text() == "opt=rw,uid=1000 4\na,b=c 5\na,b=c 8\n"
    assert "write each parameter as k=v" in dtk.run("exec", service, "load", "a-b=1", code=2).stderr
    refused = dtk.run("exec", service, "load", "words=hello", code=2).stderr
    assert "'name'" in refused
    assert "it has no parameter 'words'" in refused
    assert "next: give name=NAME user=USER" in refused
    refused = dtk.run("exec", service, "load", "name=jan", "user=ada", "words=hello", code=2).stderr
    assert "unknown parameter 'words'" in refused
    assert "next: it takes who, count, name, user" in refused
