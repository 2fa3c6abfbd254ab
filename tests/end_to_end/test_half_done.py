"""Leftovers of a failed apply on a node are corrected, even if the edit of the service's file was reverted."""

from __future__ import annotations

from pathlib import Path

from tests.support.command_line import Dtk

MODULE = """dsl_version: 1.0.0
module: acme/word
version: 1.0.0
components:
  file:
    attributes:
      word: {type: string, default: good}
    actions:
      create:
        commands:
          - RUN printf %s {{ word }} > word
          - RUN test {{ word }} != bad
assemblies:
  one:
    nodes: {main: {components: [word::file]}}
"""


def test_a_change_that_failed_and_was_taken_back_is_still_to_be_done(dtk: Dtk) -> None:
    folder = dtk.root / "modules/acme/word"
    folder.mkdir(parents=True)
    (folder / "dtk.module.yaml").write_text(MODULE)
    dtk.run("deploy", "acme:word/one", "word1")
    (row,) = dtk.json("list-nodes", "word1")
    word = Path(row["attributes"]["home"]) / "word"
    dtk.run("set-attribute", "word1", "main/word::file/word", "bad")
    dtk.run("apply", "word1", "--yes", code=1)
    assert word.read_text() == "bad"
    dtk.run("set-attribute", "word1", "main/word::file/word", "good")
    assert "task 2 started to converge it but did not succeed" in dtk.run("plan", "word1").stdout
    dtk.run("apply", "word1", "--yes")
    assert word.read_text() == "good"
    assert "Nothing to do" in dtk.run("plan", "word1").stdout
