"""Applies a case on local nodes in a temporary workspace, with the answers and failures scripted in apply.yaml."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dtk.cases.case import SERVICE_FILE, Case
from dtk.dsl.yaml.checked_document import open_document, report
from dtk.errors import Problem
from dtk.model.json_data import ReadOnlyObject, as_object
from dtk.model.written import as_written

APPLY_FILE = "apply.yaml"
_ANSWERS = "DTK_LOCAL_ANSWERS"
_LONGEST = 1800
_LAST_LINES = 15
_SUCCEEDED, _FAILED = "succeeded", "failed"


@dataclass(frozen=True)
class Script:
    """The content of apply.yaml: scripted answers, how the task must end, where it fails, how a resume must end."""

    answers: tuple[ReadOnlyObject, ...] = ()
    expect: str = _SUCCEEDED
    stage: str = ""
    resume: str = ""


def read_script(file: Path, display_root: Path) -> Script:
    """Return the content of an apply.yaml; without the file, the task must succeed.

    Raises:
        InvalidError: the file is invalid; the error lists all problems.
    """
    if not file.is_file():
        return Script()
    problems: list[Problem] = []
    checked = open_document(file, "case", display_root, problems)
    if problems or checked is None:
        raise report("the case is invalid", problems, [checked] if checked else [])
    cursor = checked.cursor
    answers = tuple(as_object(as_written(entry.value)) for entry in cursor.entries("answers"))
    return Script(answers, cursor.text("expect", _SUCCEEDED), cursor.text("stage"), cursor.text("resume"))


def failure(case: Case) -> str:
    """Apply a case and terminate its nodes; return the difference from what was expected, "" if none.

    Raises:
        InvalidError: the case's apply.yaml is invalid.
    """
    script = read_script(case.folder / APPLY_FILE, case.module.folder)
    with tempfile.TemporaryDirectory(prefix="dtk-test-") as folder:
        root = Path(folder)
        root.chmod(0o755)  # nodes of a root user read their answers as another user
        _make_workspace(root, case)
        (root / "answers.json").write_text(json.dumps(script.answers), encoding="utf-8")
        try:
            return _applied(root, case.folder.name, script)
        finally:
            _dtk(root, "delete-and-destroy", case.folder.name, "--yes", "--force")


def _make_workspace(root: Path, case: Case) -> None:
    (root / "dtk.yaml").write_text("format_version: 1\n", encoding="utf-8")
    for name, module in case.modules.items():
        shutil.copytree(module.folder, root / "modules" / name, ignore=shutil.ignore_patterns(".git"))
    service = root / "services" / case.folder.name
    service.mkdir(parents=True)
    shutil.copy(case.folder / SERVICE_FILE, service)


def _applied(root: Path, service: str, script: Script) -> str:
    done = _dtk(root, "apply", service, "--yes")
    ended = _SUCCEEDED if done.returncode == 0 else _FAILED
    if ended != script.expect:
        return f"the task {ended}, but should have {script.expect}:\n{_last(done)}"
    stages = _failed_stages(root, service)
    if script.stage and script.stage not in stages:
        return f"stage '{script.stage}' should have failed; these did: {', '.join(stages) or 'none'}\n"
    if script.resume:
        again = _dtk(root, "apply", service, "--resume", "--yes")
        ended = _SUCCEEDED if again.returncode == 0 else _FAILED
        if ended != script.resume:
            return f"the resumed task {ended}, but should have {script.resume}:\n{_last(again)}"
    return ""


def _failed_stages(root: Path, service: str) -> list[str]:
    done = _dtk(root, "task-status", service, "--json")
    rows = json.loads(done.stdout).get("stages", []) if done.returncode in (0, 1) and done.stdout else []
    return [row["name"] for row in rows if row.get("status") == _FAILED]


def _last(done: subprocess.CompletedProcess[str]) -> str:
    return "".join(f"  {line}\n" for line in [*done.stdout.splitlines(), *done.stderr.splitlines()][-_LAST_LINES:])


def _dtk(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dtk", *words, "--workspace", str(root)],
        env={**os.environ, _ANSWERS: str(root / "answers.json")},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=_LONGEST,
        check=False,
    )
