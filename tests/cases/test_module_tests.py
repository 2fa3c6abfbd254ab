"""``dtk module new``, ``dtk test`` and ``dtk fmt``: create, test and format modules."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from dtk.__main__ import run
from dtk.cases.applied import read_script
from dtk.dsl.yaml.formatting import formatted
from dtk.dsl.yaml.shipped import data_folder
from dtk.errors import DtkError, InvalidError
from dtk.nodes.local.answers import load_answers

APPLY = """format_version: 1
answers:
  - {command: cat web/greeting, exit_code: 3, stderr: no such folder, times: 1}
expect: failed
stage: check
resume: succeeded
"""


def dtk(root: Path, *words: str, code: int = 0) -> str:
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        ended = run(["--workspace", str(root), *words])
    assert ended == code, output.getvalue()
    return output.getvalue()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    output = io.StringIO()
    with redirect_stdout(output):
        assert run(["init", str(tmp_path)]) == 0
    dtk(tmp_path, "module", "new", "acme/web")
    return tmp_path


def test_a_new_module_is_valid_formatted_and_passes_its_test(root: Path) -> None:
    dtk(root, "validate", "--strict")
    assert dtk(root, "test") == "ok acme:web first (plan)\n1 case, 0 failed\n"
    assert dtk(root, "fmt", "--check") == ""
    assert "already exists" in dtk(root, "module", "new", "acme/web", code=2)
    assert "invalid module name" in dtk(root, "module", "new", "web", code=2)


def test_a_changed_plan_fails_with_its_difference_until_it_is_taken_over(root: Path) -> None:
    file = root / "modules/acme/web/dtk.module.yaml"
    file.write_text(file.read_text().replace("name: check", "name: smoke test"))
    printed = dtk(root, "test", "acme:web", code=1)
    assert "FAILED acme:web first (plan)" in printed
    assert "-  3 check" in printed
    assert "+  3 smoke test" in printed
    assert dtk(root, "test", "--update") == "acme:web first: plan.txt\n"
    dtk(root, "test")


def test_a_plan_s_operations_are_compared_where_a_case_has_them(root: Path) -> None:
    case = root / "modules/acme/web/tests/first"
    (case / "plan.json").write_text("")
    dtk(root, "test", "--update")
    assert "sha256" not in (case / "plan.json").read_text()
    file = root / "modules/acme/web/dtk.module.yaml"
    file.write_text(file.read_text().replace("{path: web}", "{path: web, mode: '750'}"))
    assert '"mode": "750"' in dtk(root, "test", code=1)


def test_a_case_starts_from_what_was_applied_before(root: Path) -> None:
    case = root / "modules/acme/web/tests/greeted"
    case.mkdir()
    service = "format_version: 1\nservice: greeted\nassembly: acme:web/single\ntarget: local\n"
    (case / "before.yaml").write_text(service)
    (case / "service.yaml").write_text(service + "attributes:\n  main/web::server/greeting: ciao\n")
    dtk(root, "test", "--update")
    assert "main/web::server/greeting hello → ciao" in (case / "plan.txt").read_text()
    dtk(root, "test")
    (case / "scope").write_text("destroy\n")
    dtk(root, "test", "--update")
    assert "terminate main" in (case / "plan.txt").read_text()


def test_a_case_may_expect_a_mistake(root: Path) -> None:
    case = root / "modules/acme/web/tests/wrong"
    case.mkdir()
    (case / "service.yaml").write_text("format_version: 1\nservice: wrong\nassembly: acme:web/nothing\ntarget: local\n")
    dtk(root, "test", "--update")
    assert "nothing" in (case / "plan.txt").read_text()
    dtk(root, "test")


def test_cases_are_applied_on_local_nodes_with_the_failures_they_script(root: Path) -> None:
    (root / "modules/acme/web/tests/first/apply.yaml").write_text(APPLY)
    assert "ok acme:web first (apply)" in dtk(root, "test", "--apply")
    (root / "modules/acme/web/tests/first/apply.yaml").write_text(APPLY.replace("expect: failed", "expect: succeeded"))
    printed = dtk(root, "test", "--apply", code=1)
    assert "the task failed, but should have succeeded" in printed
    assert "no such folder" in printed


def test_a_script_follows_its_schema(tmp_path: Path) -> None:
    file = tmp_path / "apply.yaml"
    file.write_text("format_version: 1\nexpct: failed\n")
    with pytest.raises(InvalidError, match="did you mean 'expect'"):
        read_script(file, tmp_path)
    schema = json.loads((data_folder("schemas") / "case.schema.json").read_text())
    Draft202012Validator.check_schema(schema)


def test_an_answer_is_given_to_its_node_and_as_often_as_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "answers.json"
    file.write_text('[{"node": "slaves:2", "command": "ec.o", "times": 2}]')
    monkeypatch.setenv("DTK_LOCAL_ANSWERS", str(file))
    assert load_answers("slaves:1").to("echo") is None
    answers = load_answers("slaves:2")
    assert [answers.to("echo") is not None for _ in range(3)] == [True, True, False]
    assert answers.to("true") is None


def test_fmt_keeps_comments_order_and_quotes() -> None:
    text = "b:   # why\n- 'x'\n-   {k: 2.70}\n\n\n\n# before a\na: '03'   \n"
    made = formatted(text, "x.yaml")
    assert made == "b:   # why\n  - 'x'\n  - {k: 2.70}\n\n# before a\na: '03'\n"
    assert formatted(made, "x.yaml") == made
    with pytest.raises(DtkError):
        formatted("a: [", "x.yaml")


def test_fmt_formats_the_documents_of_a_workspace(root: Path) -> None:
    file = root / "modules/acme/web/dtk.module.yaml"
    before = file.read_text()
    file.write_text(before.replace("          - RUN", "            -   RUN"))
    assert "Would format" in dtk(root, "fmt", "--check", code=1)
    dtk(root, "fmt")
    assert file.read_text() == before


def test_init_tells_editors_where_the_schema_is(root: Path) -> None:
    for file in (root / "dtk.yaml", root / "modules/acme/web/dtk.module.yaml"):
        line = file.read_text().splitlines()[0]
        path = line.removeprefix("# yaml-language-server: $schema=")
        assert path != line
        assert json.loads((file.parent / path).read_text())["$schema"]
    (root / ".dtk/schemas/module.schema.json").unlink()
    dtk(root, "validate")
    assert (root / ".dtk/schemas/module.schema.json").is_file(), "a fresh clone gets them when it is first checked"
