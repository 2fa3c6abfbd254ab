"""Broken, too deep or too large documents are reported as user errors with a fix, never as a bug in dtk."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dtk.errors import DtkError, InvalidError
from dtk.model.suggestion import nearest
from dtk.model.target import Target
from dtk.model.types import coerce
from dtk.nodes.ec2.settings import read_settings, read_spec
from dtk.nodes.local.registry import read_allocations
from dtk.plan.document import from_text
from dtk.state.workspace import Workspace
from dtk.targets import describe
from dtk.views.plan_text import plan_text
from tests.support.command_line import Dtk

DEEP = "[" * 100_000 + "]" * 100_000


def refused(dtk: Dtk, *words: str) -> str:
    done = dtk.run(*words, code=None)
    assert done.returncode in (1, 2, 3), done.stderr
    assert "a bug in dtk" not in done.stderr
    assert "error: " in done.stderr
    return done.stderr


def test_deep_json_is_refused_by_the_name_of_its_file(dtk: Dtk, module: object) -> None:
    for name in ("one1", "two2"):
        dtk.run("stage", "acme:ring/cluster", name)
    (dtk.root / "plan.json").write_text(DEEP)
    assert "plan.json" in refused(dtk, "apply", "plan.json")
    state = dtk.root / ".dtk/services/one1/state.json"
    state.parent.mkdir(parents=True, exist_ok=True)
    state.write_text(DEEP)
    assert "state.json" in refused(dtk, "plan", "one1")
    # One broken state must not hide other services.
    assert "two2" in dtk.run("ls").stdout
    state.unlink()
    (dtk.root / "dtk.lock").write_text(DEEP)
    assert "dtk.lock" in refused(dtk, "plan", "two2")


@pytest.mark.parametrize("words", [("--workspace", "a" * 300, "ls"), ("install", "a" * 5000)])
def test_a_name_that_is_too_long_is_told(dtk: Dtk, words: tuple[str, ...]) -> None:
    refused(dtk, *words)


@pytest.mark.parametrize("template", ["[" * 100 + "]" * 100, "(" * 700 + "1" + ")" * 700, "9" * 5000])
def test_deep_and_endless_templates_are_told_at_their_place(dtk: Dtk, template: str) -> None:
    folder = dtk.root / "modules/acme/deep"
    folder.mkdir(parents=True)
    command = json.dumps(f"RUN echo {{{{ {template} }}}}")
    (folder / "dtk.module.yaml").write_text(
        "dsl_version: 1.0.0\nmodule: acme/deep\nversion: 1.0.0\ncomponents:\n  a:\n    actions:\n      create:\n"
        f"        commands: [{command}]\n"
    )
    done = dtk.run("validate", code=None)
    assert "a bug in dtk" not in done.stderr
    assert done.returncode in (0, 3), done.stderr


def make_fifo(file: Path) -> None:
    os.mkfifo(file)


def make_self_link(file: Path) -> None:
    file.symlink_to(file.name)


def make_folder(file: Path) -> None:
    file.mkdir()


def test_what_is_not_a_file_where_a_document_belongs_is_named(dtk: Dtk) -> None:
    kinds = {"fifo": make_fifo, "folder": make_folder, "link": make_self_link}
    for kind, make in kinds.items():
        for place in (f"modules/acme/{kind}/dtk.module.yaml", f"services/{kind}/service.yaml"):
            (dtk.root / place).parent.mkdir(parents=True)
            make(dtk.root / place)
    # Commands that read the file report it. None blocks on opening a fifo, and the other files are still checked.
    output = refused(dtk, "validate")
    assert "did you mean" not in output
    listed = dtk.run("list-modules").stdout
    for kind in kinds:
        assert f"modules/acme/{kind}/dtk.module.yaml:1:1: " in output
        assert f"acme:{kind}" in listed
    assert "dtk.module.yaml:1:1: " in refused(dtk, "validate", "modules/acme/link")
    assert "dtk.module.yaml:1:1: " in refused(dtk, "list-components", "acme/fifo")
    assert "services/fifo/service.yaml" in refused(dtk, "plan", "fifo")
    refused(dtk, "fmt", "--check")
    dtk.run("ls")
    for kind in ("fifo", "folder"):
        shutil.rmtree(dtk.root / "services" / kind)


def test_a_module_of_thousands_of_mistakes_is_checked_in_bounded_work(dtk: Dtk) -> None:
    folder = dtk.root / "modules/acme/large"
    folder.mkdir(parents=True)
    components = "".join(f"  c{number}: {{}}\n" for number in range(20_000))
    uses = "".join(f"        - d{number}\n" for number in range(20_000))
    (folder / "dtk.module.yaml").write_text(
        f"dsl_version: 1.0.0\nmodule: acme/large\nversion: 1.0.0\ncomponents:\n{components}"
        f"assemblies:\n  all:\n    nodes:\n      one:\n        components:\n{uses}"
    )
    # Comparing each of 20,000 names with all others took 40 s. The output is capped at what a person would read.
    assert "error: 100 mistakes" in refused(dtk, "validate")


def test_names_are_compared_with_a_bounded_number_of_others() -> None:
    assert nearest("wrker", ["worker"]) == "worker"
    names = iter([f"c{number}" for number in range(10_000)])
    nearest("wrker", names)
    assert next(names) == "c500"


def test_a_broken_registry_of_nodes_is_named(dtk: Dtk, module: object) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    (dtk.root / ".dtk").mkdir(exist_ok=True)
    workspace, file = Workspace(dtk.root), dtk.root / ".dtk/nodes.json"
    node = '{"local": {"LINEAGE/master": %s}}'
    for registry in ("{", "[]", '{"format_version": "x"}', node % '{"port": "x"}', node % "1", DEEP):
        file.write_text(registry)
        with pytest.raises(DtkError, match=re.escape(f"{file} is broken: ")):
            read_allocations(workspace)
    done = dtk.run("apply", "ring1", "--yes", code=1)
    assert f"{file} is broken" in done.stdout + done.stderr
    assert "bug" not in done.stdout + done.stderr
    file.unlink()


def test_volumes_of_a_wrong_shape_in_a_plan_are_shown_or_told(dtk: Dtk, module: object) -> None:
    with (dtk.root / "dtk.yaml").open("a") as file:
        file.write("targets:\n  cloud: {type: ec2, region: eu-west-1}\n")
    dtk.run("stage", "acme:ring/cluster", "ring1", "--target", "cloud")
    document = dtk.json("plan", "ring1")
    leaves = [
        leaf for stage in document["stages"] for step in stage["steps"] for leaf in (step, *step.get("steps", []))
    ]
    machines = [leaf for leaf in leaves if leaf["type"] == "create_node"]
    assert machines
    settings = read_settings(Target("cloud", describe("ec2"), {"region": "eu-west-1"}), dtk.root)
    volumes: Any
    for volumes in ([["a"]], [1], "a", 1, {"a": 1}, [{"size": [1]}], [{"size": {}}], [None], [{"size": 10**400}]):
        for leaf in machines:
            leaf["node_attributes"] = {"image": "ami-1", "size": "small", "volumes": volumes}
        plan = from_text(json.dumps(document), "plan.json")
        assert "master" in plan_text(plan)
        with suppress(InvalidError):
            read_spec(settings, "master", plan.stages[0].steps[0].node_attributes)


def test_a_time_of_400_digits_in_a_foreign_log_is_passed_over(dtk: Dtk, module: object) -> None:
    dtk.run("stage", "acme:ring/cluster", "ring1")
    dtk.run("apply", "ring1", "--yes")
    lines = (dtk.root / ".dtk/services/ring1/tasks/1/events.jsonl").read_text().splitlines()
    huge = [re.sub(r'"seconds":[0-9.e-]+', f'"seconds":1{"0" * 400}', line) for line in lines]
    assert huge != lines
    log = dtk.root / "foreign.jsonl"
    log.write_text("\n".join(huge) + "\n")
    for words in ((), ("--json",), ("-m", "stream"), ("--summarize",)):
        done = dtk.run("task-status", "--log", str(log), *words, code=None)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "line",
    [f"dsl_version: {'9' * 5000}", f'dsl_version: "{"9" * 5000}"', r'description: "\ud800"'],
)
def test_endless_versions_and_what_is_no_character_are_told(dtk: Dtk, line: str) -> None:
    folder = dtk.root / "modules/acme/odd"
    folder.mkdir(parents=True)
    first = "" if line.startswith("dsl_version") else "dsl_version: 1.0.0\n"
    (folder / "dtk.module.yaml").write_text(f"{first}{line}\nmodule: acme/odd\nversion: 1.0.0\n")
    assert "modules/acme/odd/dtk.module.yaml:" in refused(dtk, "validate")


@pytest.mark.parametrize("text", ["[" * 100_000, "{[[[]]]}", "[&a [x, x], *a]", r'["\ud800"]'])
def test_a_text_that_stands_for_no_list_is_refused_as_one(text: str) -> None:
    with pytest.raises(ValueError, match="is not a list"):
        coerce("array", text)


def test_dates_in_a_list_are_texts() -> None:
    assert coerce("array", "[2015-11-26, 1.5.1, 2]") == ["2015-11-26", "1.5.1", 2]


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', r'"\ud800"', r'["\uDFFF"]', "1e999"])
def test_what_is_not_json_is_refused_though_python_reads_it(text: str) -> None:
    with pytest.raises(ValueError, match="is not JSON"):
        coerce("json", text)
