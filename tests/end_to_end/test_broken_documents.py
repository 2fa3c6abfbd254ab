"""A document that is broken, too deep or too large is the user's mistake: named, with what to do, never a bug."""

from __future__ import annotations

import json

import pytest

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
    # One broken state hides no other service.
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
