"""The files of docs/ci.md as a team copies them: linted, and their shell steps run in fresh clones."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from dtk import __version__ as dtk_version
from dtk.cli.registry import COMMANDS
from tests.end_to_end.test_clones import clone
from tests.support.action_linter import complaints
from tests.support.command_line import Dtk
from tests.support.forge import (
    APPLY,
    FILES,
    GITLAB,
    GITLAB_SERVICE,
    PLAN,
    ROOT,
    cancel,
    checkout,
    git,
    github_job,
    gitlab_job,
    gitlab_job_of,
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
def test_a_workflow_passes_actionlint(name: str) -> None:
    assert complaints(name, FILES[name]) == []


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


def test_gitlab_s_files_name_only_stages_and_templates_that_are_there() -> None:
    document, templates = parsed(FILES[GITLAB]), parsed(FILES[GITLAB_SERVICE])
    assert document["include"] == GITLAB_SERVICE
    jobs = {name: job for name, job in document.items() if isinstance(job, dict) and "stage" in job}
    assert list(jobs) == ["check", "changed services", "services", "drift"]
    for job in jobs.values():
        assert job["stage"] in document["stages"]
        assert job.get("extends", ".service") in templates
        assert "rules" in job, "a job without rules is in no pipeline of a merge request"
    assert list(templates) == [".service", ".plan", ".apply"]
    (included,) = jobs["services"]["trigger"]["include"]
    assert included["job"] in jobs
    assert included["artifact"] in jobs[included["job"]]["artifacts"]["paths"]


@pytest.mark.parametrize("name", [PLAN, APPLY, GITLAB, GITLAB_SERVICE])
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


def test_the_hooks_of_a_workspace_pass_and_stop_a_commit_that_is_wrong(origin: Dtk) -> None:
    fmt, validate = parsed((ROOT / ".pre-commit-hooks.yaml").read_text())
    files = [path.relative_to(origin.root).as_posix() for path in origin.root.rglob("*.yaml")]
    staged = [file for file in files if re.search(fmt["files"], file)]
    assert {"dtk.yaml", "modules/acme/ring/dtk.module.yaml", "services/app1/service.yaml"} <= set(staged)
    origin.run(*fmt["entry"].split()[1:], *staged)
    before = {file: (origin.root / file).read_text() for file in staged}
    assert "pass_filenames" not in fmt
    assert validate["pass_filenames"] is False
    origin.run(*validate["entry"].split()[1:])
    file = origin.root / "services/app1/service.yaml"
    file.write_text(before["services/app1/service.yaml"] + "nodez:    {}\n")
    assert "nodez" in origin.run(*validate["entry"].split()[1:], code=3).stderr
    file.write_text("# made by hand\n" + before["services/app1/service.yaml"].replace("service: ", "service:    ", 1))
    origin.run(*fmt["entry"].split()[1:], *staged, code=None)
    assert file.read_text() == "# made by hand\n" + before["services/app1/service.yaml"], (
        "pre-commit sees a changed file"
    )


def test_the_action_s_step_puts_dtk_in_the_path_of_the_steps_that_follow(tmp_path: Path) -> None:
    (install,) = [one for one in parsed((ROOT / "action.yml").read_text())["runs"]["steps"] if "run" in one]
    assert install["env"] == {"SOURCE": "${{ github.action_path }}"}
    # pip finds dtk's dependencies in this environment; the step creates a new one and installs dtk into it.
    here = {**os.environ, "PYTHONPATH": sysconfig.get_path("purelib"), "RUNNER_TEMP": str(tmp_path / "temp")}
    here["PATH"] = f"{Path(sys.executable).parent}:{here['PATH']}"
    (tmp_path / "job").mkdir()
    added = tmp_path / "path"
    shown = step(install["run"], tmp_path / "job", {**here, "GITHUB_PATH": str(added), "SOURCE": str(ROOT)})
    assert shown.splitlines()[-1].startswith(f"dtk {dtk_version}")
    later = {**here, "PATH": f"{added.read_text().strip()}:/usr/bin:/bin"}
    assert shutil.which("dtk", path=later["PATH"]) == f"{tmp_path}/temp/dtk-path/dtk"
    code = "import dtk, sys; print(dtk.__file__)"
    used = step(f"{tmp_path}/temp/dtk/bin/python -P -c {shlex.quote(code)}", tmp_path / "job", later)
    assert used.startswith(str(tmp_path / "temp/dtk/lib")), "not the checkout that the tests run on"
    assert "Usage: dtk" in step("dtk --help", tmp_path / "job", later)


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    return github_job(tmp_path, "app1")


@pytest.fixture
def origin(dtk: Dtk, module: Path) -> Iterator[Dtk]:
    """Stage the service that clones work on; on teardown, destroy what the clones created."""
    file = module / "dtk.module.yaml"
    # Nothing uses this attribute, which --strict reports as a problem.
    file.write_text(re.sub(r"^ *greeting: .*\n", "", file.read_text(), flags=re.MULTILINE))
    dtk.run("stage", "acme:ring/cluster", "app1")
    yield dtk
    for root in dtk.root.parent.iterdir():
        if (root / ".dtk/services/app1").exists():
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
    assert "which was not in the state" in step(apply, two.root, job)
    assert "Nothing to do" in step(apply, two.root, job)
    step(drift, two.root, job)
    (home,) = [node["attributes"]["home"] for node in two.json("list-nodes", "app1") if node["node"] == "master"]
    shutil.rmtree(Path(home) / "www")
    assert re.search(r"^Drift:\n  ~ master/ring::hub  files\.directory: ", step(drift, two.root, job, code=10), re.M)
    step(apply, two.root, job)
    assert (Path(home) / "www").is_dir()


@pytest.mark.parametrize("way", ["exec", "a shell between"])
def test_a_cancelled_job_is_healed_by_the_next(origin: Dtk, job: dict[str, str], way: str) -> None:
    """Cancel as GitHub does: SIGINT to the shell, SIGTERM after 7.5 s, SIGKILL to all processes after another 2.5 s."""
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


def test_with_a_store_no_runner_keeps_anything_for_the_next(origin: Dtk, job: dict[str, str], tmp_path: Path) -> None:
    with (origin.root / "dtk.yaml").open("a") as file:
        file.write("store: {type: folder, path: ../store}\n")
    apply, plan, drift = steps(APPLY)["apply"], steps(PLAN)["plan"], steps(APPLY)["drift"]
    one = clone(origin, "one")
    step(apply, one.root, job)
    machines = one.json("list-nodes", "app1")

    two = clone(origin, "two")
    step(plan, two.root, job)
    assert "Nothing to do" in (two.root / "plan.markdown").read_text()
    assert "Nothing to do" in step(apply, two.root, job)
    assert [task["task"] for task in two.json("list-tasks", "app1")] == [1], "nothing was verified"
    assert [node["id"] for node in two.json("list-nodes", "app1")] == [node["id"] for node in machines]

    looker = clone(origin, "looker")
    step(drift, looker.root, job)
    (home,) = [node["attributes"]["home"] for node in machines if node["node"] == "master"]
    shutil.rmtree(Path(home) / "www")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.json")}
    report = step(drift, clone(origin, "another").root, job, code=10)
    assert re.search(r"^Drift:\n  ~ master/ring::hub  files\.directory: ", report, re.MULTILINE)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*.json")} == before, "it only reads"
    step(apply, clone(origin, "three").root, job)
    assert (Path(home) / "www").is_dir()


def child_pipeline(origin: Dtk, name: str, job: dict[str, str], rule: int, base: str) -> dict[str, Any]:
    """Run the job that looks for changed services in a fresh clone; return the child pipeline that it writes."""
    root = checkout(origin, name).root
    (root / ".gitlab").mkdir(exist_ok=True)
    (root / GITLAB_SERVICE).write_text(FILES[GITLAB_SERVICE])
    given = parsed(FILES[GITLAB])["changed services"]["rules"][rule]["variables"]
    step(gitlab_script("changed services"), root, {**job, "VERB": given["VERB"], "BASE": base})
    made: dict[str, Any] = parsed((root / "pipeline.yml").read_text())
    return made


def test_gitlab_s_jobs_check_plan_and_apply_each_changed_service(origin: Dtk, tmp_path: Path) -> None:
    origin.run("stage", "acme:ring/cluster", "untouched")
    git(origin.root, "init", "-q", "-b", "main")
    git(origin.root, "add", ".")
    git(origin.root, "commit", "-qm", "app1")
    base = git(origin.root, "rev-parse", "HEAD")
    job = gitlab_job(tmp_path)
    nothing = child_pipeline(origin, "nothing", job, 0, base)
    assert nothing["nothing to do"] == {"script": ["true"]}, "a pipeline needs a job"
    origin.run("set-attribute", "app1", "slaves/cardinality", "1")
    git(origin.root, "commit", "-qam", "one member")
    runner = checkout(origin, "check")
    step(gitlab_script("check"), runner.root, job)
    assert json.loads((runner.root / "gl-code-quality-report.json").read_text()) == []

    request = child_pipeline(origin, "request", job, 0, base)
    assert [name for name in request if not name.startswith(".")] == ["plan app1"]
    job.update(gitlab_job_of(request, "plan app1")["variables"], AWS_WEB_IDENTITY_TOKEN_FILE=f"{tmp_path}/aws-token")
    runner = checkout(origin, "plan")
    step(gitlab_script("plan app1", request), runner.root, job)
    assert (tmp_path / "aws-token").read_text() == "token"
    assert (runner.root / "plan.markdown").read_text().startswith("### Plan for `app1`\n")

    push = child_pipeline(origin, "push", job, 1, base)
    assert [name for name in push if not name.startswith(".")] == ["apply app1"]
    assert set(child_pipeline(origin, "first", job, 1, "0" * 40)) - set(push) == {"apply untouched"}, "the first push"
    runner = checkout(origin, "apply")
    assert "section_start:" in step(gitlab_script("apply app1", push), runner.root, job)
    assert ET.parse(runner.root / "junit.xml").getroot().get("failures") == "0"
    assert "https://gitlab.example.com/acme/cluster/-/jobs/17" in (runner.root / "report.html").read_text()
    git(runner.root, "rm", "-rqf", "services/untouched")
    step(gitlab_script("drift"), runner.root, job)
