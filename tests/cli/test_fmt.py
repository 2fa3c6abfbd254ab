"""Tests of dtk fmt: which documents it formats."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtk.__main__ import run

UNFORMATTED = "format_version:   1\n"
FORMATTED = "format_version: 1\n"


def test_a_folder_stands_for_the_documents_below_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    documents = ["web/dtk.module.yaml", "web/assemblies/one.dtk.assembly.yaml", "web/tests/small/service.yaml"]
    others = ["web/files/values.yaml", "web/.git/dtk.yaml", "other/dtk.module.yaml"]
    for name in (*documents, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(UNFORMATTED)
    assert run(["fmt", "--check", "web"]) == 1
    assert sorted(capsys.readouterr().out.splitlines()) == sorted(f"Would format {name}" for name in documents)
    assert run(["fmt", "web", "web/files/values.yaml"]) == 0
    assert {name: (tmp_path / name).read_text() for name in (*documents, *others)} == {
        **dict.fromkeys((*documents, "web/files/values.yaml"), FORMATTED),
        **dict.fromkeys(others[1:], UNFORMATTED),
    }
    assert run(["fmt", "--check", "web"]) == 0


def test_a_folder_without_documents_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert run(["fmt", "empty"]) == 2
    assert "empty has no document of dtk" in capsys.readouterr().err
