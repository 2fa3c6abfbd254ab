"""The workflows of docs/ci.md on EC2: each job's shell steps in a fresh clone, from pull request to drift check."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.command_line import Dtk
from tests.support.forge import APPLY, PLAN, cancel, checkout, git, github_job, start, step, steps, workers
from tests.support.waiting import eventually
from tests.testbed.bed import Bed
from tests.testbed.site import SERVICE, team_site_in

LONG = "sleep 8632"
MODULE = """
dsl_version: 1.0.0
module: acme/page
version: 0.1.0
components:
  folder:
    actions:
      create: {operations: [{files.directory: {path: "{{ node.home }}/www"}}]}
  work:
    attributes:
      command: {type: string, default: 'true'}
    dependencies: ['page::folder']
    actions:
      create: {commands: ["RUN sh -c {{ command }}"]}
assemblies:
  pair:
    nodes:
      pages: {attributes: {type: group, cardinality: 2}, components: ['page::folder', 'page::work']}
    workflows:
      create:
        subtasks:
          - {name: folders, components: ['page::folder']}
          - {name: work, components: ['page::work']}
"""


@pytest.fixture
def origin(bed: Bed, tmp_path: Path) -> Iterator[Dtk]:
    """Create a workspace in git, with a module and a service of two nodes."""
    with team_site_in(tmp_path / "origin", bed) as made:
        folder = made.dtk.root / "modules/acme/page"
        folder.mkdir(parents=True)
        (folder / "dtk.module.yaml").write_text(MODULE)
        made.dtk.run("fmt")
        made.dtk.run("stage", "acme:page/pair", SERVICE)
        git(made.dtk.root, "init", "-q", "-b", "main")
        commit(made.dtk)
        yield made.dtk


def commit(origin: Dtk) -> str:
    git(origin.root, "add", ".")
    git(origin.root, "commit", "-qm", "as it is")
    return git(origin.root, "rev-parse", "HEAD")


def set_work(origin: Dtk, command: str) -> str:
    origin.run("set-attribute", SERVICE, "pages/page::work/command", command)
    return commit(origin)


def at_work() -> set[int]:
    """Return the processes of the long command on all hosts; this machine sees the hosts' processes."""
    found = psutil.process_iter(["cmdline"])
    return {process.pid for process in found if process.info["cmdline"] == LONG.split()}


def test_a_pull_request_an_apply_two_cancelled_jobs_the_next_ones_and_drift(
    origin: Dtk, bed: Bed, tmp_path: Path
) -> None:
    job, planning, applying = github_job(tmp_path, SERVICE), steps(PLAN), steps(APPLY)

    base = git(origin.root, "rev-parse", "HEAD")
    set_work(origin, LONG)
    request = checkout(origin, "request").root
    for name in ("check", "changed services", "plan", "comment"):
        step(planning[name], request, {**job, "BASE": base})
    assert (tmp_path / "output").read_text() == f'services=["{SERVICE}"]\n'
    (comment,) = json.loads((tmp_path / "comments.json").read_text())
    assert comment["body"].startswith(f"<!-- dtk plan {SERVICE} -->\n### Plan for `{SERVICE}`\n")
    assert "| `+` | create | pages:\\[1-2\\] |" in comment["body"]
    assert bed.instances() == {}

    # Cancelled after its instances are created, in a shell that forwards no signal, so the whole job is killed.
    killed = checkout(origin, "killed").root
    process = start(applying["apply"].replace("exec ", "") + "\ntrue", killed, job)
    eventually(lambda: len(bed.instances()) == 2, "the instances are made")
    cancel(process, killed)
    eventually(lambda: not workers(killed), "the runner has killed all of the job")
    made, left = set(bed.instances()), at_work()

    # Cancelled in the middle of a step, with the shell command as documented.
    cut = checkout(origin, "cut").root
    step(applying["install"], cut, job)
    process = start(applying["apply"], cut, job)
    eventually(lambda: len(at_work() - left) == 2, "both nodes are at work for this job")
    assert not at_work() & left, "what the killed job ran on them is ended"
    cancel(process, cut)
    eventually(lambda: not workers(cut), "nothing of the job is left on the runner")
    assert set(bed.instances()) == made

    set_work(origin, "true")
    healing = checkout(origin, "healing")
    output = step(applying["apply"], healing.root, job)
    assert "which was not in the state" in output
    assert at_work() == set(), "the cancelled job's work is ended"
    assert "Nothing to do" in step(applying["apply"], healing.root, job)
    assert set(bed.instances()) == made

    fresh = checkout(origin, "fresh")
    step(applying["apply"], fresh.root, job)
    assert set(bed.instances()) == made
    step(applying["drift"], fresh.root, job)
    fresh.run("ssh", SERVICE, "pages:1", "--", "rm -r www")
    report = step(applying["drift"], fresh.root, job, code=10)
    assert re.search(r"^Drift:\n  ~ pages:1/page::folder  files\.directory: ", report, re.MULTILINE), report
    step(applying["apply"], fresh.root, job)
    assert set(bed.instances()) == made

    fresh.run("delete-and-destroy", SERVICE, "--yes")
    assert bed.instances() == {}
