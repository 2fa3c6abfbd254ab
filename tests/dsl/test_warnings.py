"""What ``dtk validate`` prints besides errors: warnings, source excerpts, and the cap on their number."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from dtk.__main__ import run

MODULE = """dsl_version: 1.0.0
module: acme/web
components:
  settings:
    attributes: {shared: {default: x}}
  web:
    attributes:
      port: {type: port, default: 80}
      unused: {default: y}
      linked: {default: z}
      lost: {dynamic: true}
    link_defs:
      web::other: {attribute_mappings: [seen <- $linked]}
    actions:
      create:
        commands: ['RUN echo {{ port }}']
  other:
    attributes: {seen: {}, log: {type: log_file, default: run/other.log}}
    actions:
      create:
        commands:
          - {ADD: it, source: files/page, target: page, template: true}
assemblies:
  one:
    attributes: {taken: {default: 81}, idle: {default: z}}
    components: [web::settings]
    nodes:
      n: {components: [web: {attributes: {port: '{{ taken }}'}}, web::other]}
    workflows:
      create:
        subtasks:
          - {name: web, components: [web]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "acme" / "web"
    (made / "files").mkdir(parents=True)
    (made / "files" / "page").write_text("{{ seen }}\n")
    (made / "dtk.module.yaml").write_text(MODULE)
    return made


def validate(*words: str, code: int = 0) -> str:
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        ended = run(["validate", *words])
    assert ended == code, output.getvalue()
    return output.getvalue()


def test_warnings_name_what_nothing_uses_and_what_no_stage_has(folder: Path) -> None:
    printed = [line.partition("dtk.module.yaml:")[2] for line in validate(str(folder)).splitlines()]
    assert printed == [
        "9:7: attribute 'unused' of 'web' is used by no action and no link",
        "11:7: dynamic attribute 'lost' of 'web' is in no action's outputs",
        "25:40: attribute 'idle' of assembly 'one' is used by no value in it; "
        "expected '{{ idle }}' in a value of a component or a node",
        "28:66: component 'web::other' on 'n' is in no stage of workflow 'create': nothing converges it",
        "",
    ]


def test_a_stage_without_a_title_has_every_title(folder: Path) -> None:
    shelf = "  shelf:\n    {singleton: false, attributes: {name: {}}, actions: {create: {commands: ['RUN true']}}}\n"
    module = MODULE.replace("components:\n", f"components:\n{shelf}", 1)
    module = module.replace("web::other]}", "'web::shelf[books]']}").replace("[web]}", "[web, web::shelf]}")
    (folder / "dtk.module.yaml").write_text(module)
    assert "in no stage" not in validate(str(folder))


def test_a_constant_port_is_used_by_its_declaration(folder: Path) -> None:
    module = MODULE.replace("unused: {default: y}", "unused: {type: port, default: 4567, constant: true}")
    assert module != MODULE
    (folder / "dtk.module.yaml").write_text(module)
    assert "'unused'" not in validate(str(folder))


def test_strict_makes_warnings_mistakes(folder: Path) -> None:
    assert "4 mistakes" in validate(str(folder), "--strict", code=3)
    document = json.loads(validate(str(folder), "--json"))
    assert (len(document["problems"]), len(document["warnings"])) == (0, 4)


def test_each_mistake_shows_its_line_with_a_caret(folder: Path) -> None:
    (folder / "dtk.module.yaml").write_text(MODULE.replace("default: y", "defalt: y"))
    lines = validate(str(folder), code=3).splitlines()
    at = next(number for number, line in enumerate(lines) if "unknown key 'defalt'" in line)
    assert "did you mean 'default'?" in lines[at]
    assert lines[at + 1].strip() == "9 |       unused: {defalt: y}"
    assert lines[at + 2].index("^") - lines[at + 1].index("defalt") == 0


def test_a_line_that_holds_a_hidden_value_is_not_shown(folder: Path) -> None:
    text = MODULE.replace("unused: {default: y}", "unused: {type: port, hidden: true, default: hunter2}")
    (folder / "dtk.module.yaml").write_text(text)
    assert "hunter2" not in validate(str(folder), code=3)
    text = MODULE.replace(
        "unused: {default: y}", "unused:\n        type: port\n        default: hunter2\n        hidden: true"
    )
    (folder / "dtk.module.yaml").write_text(text)
    assert "hunter2" not in validate(str(folder), code=3)


def test_a_long_line_is_cut_around_the_caret(folder: Path) -> None:
    text = MODULE.replace("unused: {default: y}", f"unused: {{default: '{'y' * 300}', typo: 1}}")
    (folder / "dtk.module.yaml").write_text(text)
    lines = validate(str(folder), code=3).splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.strip().startswith("9 |")]
    assert len(lines[at]) < 130
    assert lines[at][lines[at + 1].index("^") :].startswith("typo")


def test_hundreds_of_mistakes_are_capped_with_a_count(folder: Path) -> None:
    many = "".join(f"      a{number}: {{typo: 1}}\n" for number in range(300))
    (folder / "dtk.module.yaml").write_text(MODULE.replace("      unused: {default: y}\n", many))
    printed = validate(str(folder), code=3)
    assert "300 mistakes" in printed
    assert printed.count("unknown key 'typo'") == 50
    assert "… and 250 more" in printed


def test_no_message_shows_what_a_link_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = tmp_path / "outside"
    outside.write_text("a line of somebody else: [\n")
    workspace = tmp_path / "workspace"
    (workspace / "services/s1").mkdir(parents=True)
    (workspace / "dtk.yaml").write_text("format_version: 1\n")
    (workspace / "services/s1/service.yaml").symlink_to(outside)
    for name, document in (("one", "dtk.module.yaml"), ("two", "extra"), ("three", "assemblies")):
        module = workspace / "modules/acme" / name
        module.mkdir(parents=True)
        (module / "dtk.module.yaml").write_text(f"dsl_version: 1.0.0\nmodule: acme/{name}\n")
        (module / document).unlink(missing_ok=True)
        (module / document).symlink_to(outside)
    monkeypatch.chdir(workspace)
    printed = validate(code=3)
    assert printed.count("a symlink can't be part of a module") == 3
    assert "services/s1/service.yaml:1:1: the file is a symlink to a path outside of the workspace" in printed
    assert "somebody else" not in printed
