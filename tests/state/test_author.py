"""Tests of a task's author and commit, read from git and the CI job's environment and kept in the lock."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from dtk.errors import LockedError
from dtk.state.author import job_url, this_author
from dtk.state.lock import acquire, holder

GITHUB = {"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "acme/cluster", "GITHUB_RUN_ID": "17"}
JOB = "https://github.com/acme/cluster/actions/runs/17"


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [(GITHUB, JOB), ({"CI_JOB_URL": "https://gitlab/j/1"}, "https://gitlab/j/1"), ({"GITHUB_RUN_ID": "17"}, "")],
)
def test_a_job_s_page_is_told_by_its_environment(environment: dict[str, str], expected: str) -> None:
    assert job_url(environment) == expected


def test_the_commit_and_whether_files_of_the_workspace_differ_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "ada")
    assert this_author(tmp_path).commit == "", "no repository"
    (tmp_path / "dtk.yaml").write_text("format_version: 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    found = this_author(tmp_path)
    assert (found.user, found.commit, found.dirty, found.source) == ("ada", commit, False, commit[:8])
    (tmp_path / "plan.md").write_text("a job's own output\n")
    assert not this_author(tmp_path).dirty
    (tmp_path / "dtk.yaml").write_text("format_version: 1\n# changed\n")
    assert this_author(tmp_path).source == f"{commit[:8]}+"


def test_the_lock_names_the_job_that_holds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GITHUB.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / ".dtk/services/app1"
    with acquire(folder, "dtk apply app1"):
        found = holder(folder)
        assert found is not None
        assert found.by.job_url == JOB
        with pytest.raises(LockedError, match=JOB):
            acquire(folder, "dtk apply app1")
