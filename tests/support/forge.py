"""Runs the CI files of docs/ci.md as GitHub and GitLab would: their shell steps, unchanged, on a simulated runner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from ruamel.yaml import YAML

from tests.support.command_line import Dtk
from tests.support.documented import files_of

ROOT = Path(__file__).resolve().parents[2]
FILES = files_of("ci.md")
PLAN, APPLY = ".github/workflows/dtk-plan.yml", ".github/workflows/dtk-apply.yml"
GITLAB, GITLAB_SERVICE = ".gitlab-ci.yml", ".gitlab/dtk-service.yml"
GH = """#!{python}
import json, os, pathlib, subprocess, sys
words = sys.argv[2:]
file = pathlib.Path(os.environ["COMMENTS"])
comments = json.loads(file.read_text()) if file.exists() else []
path = next(word for word in words if word.startswith("repos/"))
if "--jq" in words:
    program = words[words.index("--jq") + 1]
    sys.exit(subprocess.run(["jq", "-r", program], input=json.dumps(comments), text=True).returncode)
body = pathlib.Path(words[words.index("-F") + 1].removeprefix("body=@")).read_text()
if words[words.index("--method") + 1] == "PATCH":
    next(one for one in comments if str(one["id"]) == path.rpartition("/")[2])["body"] = body
else:
    comments.append({{"id": len(comments) + 1, "body": body}})
file.write_text(json.dumps(comments))
"""


def parsed(text: str) -> Any:
    return YAML(typ="safe").load(text)


def steps(name: str) -> dict[str, str]:
    """Return the shell steps of a workflow by name."""
    jobs = parsed(FILES[name])["jobs"].values()
    return {step["name"]: step["run"] for job in jobs for step in job["steps"] if "run" in step}


def gitlab_job_of(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a GitLab job merged with the templates that it extends."""
    own = document[name]
    above = gitlab_job_of(document, own["extends"]) if "extends" in own else {}
    variables = {**above.get("variables", {}), **own.get("variables", {})}
    return {**above, **own, "variables": variables}


def gitlab_script(name: str, document: dict[str, Any] | None = None) -> str:
    """Return the script that a GitLab runner executes for a job, starting with its ``before_script``.

    ``document`` is a child pipeline. None means the documented pipeline with its included file.
    """
    job = gitlab_job_of(document or {**parsed(FILES[GITLAB_SERVICE]), **parsed(FILES[GITLAB])}, name)
    return "\n".join((*job.get("before_script", ()), *job["script"]))


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def checkout(origin: Dtk, name: str) -> Dtk:
    """Return the workspace as a runner sees it: a fresh git clone without .dtk."""
    git(origin.root.parent, "clone", "-q", str(origin.root), name)
    return Dtk(origin.root.parent / name)


def _runner(folder: Path) -> dict[str, str]:
    """Return the environment of any job, with a runner's tools in its PATH."""
    tools = folder / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH.format(python=sys.executable))
    (tools / "gh").chmod(0o755)
    (tools / "dtk").write_text(f'#!/bin/sh\nexec {sys.executable} -m dtk "$@"\n')
    (tools / "dtk").chmod(0o755)
    return {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def github_job(folder: Path, service: str) -> dict[str, str]:
    """Return the environment of a GitHub job, which writes its results into the folder."""
    return {
        **_runner(folder),
        "COMMENTS": str(folder / "comments.json"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_REPOSITORY": "acme/cluster",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "17",
        "GITHUB_ACTOR": "ada",
        "PULL_REQUEST": "7",
        "SERVICE": service,
    }


def gitlab_job(folder: Path) -> dict[str, str]:
    """Return the environment of a GitLab job, whose AWS token file is in the folder."""
    return {
        **_runner(folder),
        "GITLAB_CI": "true",
        "CI_JOB_URL": "https://gitlab.example.com/acme/cluster/-/jobs/17",
        "GITLAB_USER_LOGIN": "ada",
        "AWS_TOKEN": "token",
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(folder / "aws-token"),
    }


def start(script: str, root: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a step as the runner does: ``bash -e FILE``."""
    file = root.parent / f"step-{root.name}.sh"
    file.write_text(script)
    words = ["bash", "--noprofile", "--norc", "-e", str(file)]
    return subprocess.Popen(
        words, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def step(script: str, root: Path, environment: dict[str, str], code: int = 0) -> str:
    """Run a step and return its output. Fail the test if its exit code is not ``code``."""
    process = start(script, root, environment)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output


def cancel(process: subprocess.Popen[str], root: Path) -> None:
    """Cancel a step as GitHub does: SIGINT to its shell, SIGTERM after 7.5 s, SIGKILL to everything 2.5 s later."""
    for sent, patience in ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5)):
        process.send_signal(sent)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    for left in workers(root):
        with suppress(psutil.Error):
            left.kill()
    process.kill()
    process.communicate()


def workers(root: Path) -> list[psutil.Process]:
    """Return the dtk processes of a job in this folder, without its local nodes."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(root) and "dtk" in " ".join(words) and "dtk.nodes.local" not in words:
            found.append(process)
    return found
