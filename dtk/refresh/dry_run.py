"""Runs a separate process that checks on a service's nodes which operations would change something."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from dtk.errors import DtkError
from dtk.model.plan import Finding, Plan
from dtk.refresh.dry_run_request import DryRunRequest, finding_of, to_line
from dtk.ssh.passphrases import known_passphrases
from dtk.state.workspace import Workspace

WORKER = "dtk.refresh.dry_run_worker"
_PATIENCE = 30.0
"""Seconds that the process has to stop its commands on nodes."""


def dry_run(
    workspace: Workspace, plan: Plan, components: Iterable[tuple[str, str]], modules: Mapping[str, Path]
) -> list[Finding]:
    """Evaluate the create actions of components on their nodes, without changing anything there or here.

    Args:
        workspace: the workspace; the caller holds the service's lock.
        plan: a plan with every step, for the arguments of the actions.
        components: the components to check: node, component.
        modules: the modules' folders by name.

    Returns:
        The findings, in the plan's order.

    Raises:
        DtkError: the process failed.
    """
    folders = {name: str(folder) for name, folder in modules.items()}
    text = to_line(DryRunRequest(str(workspace.root), tuple(components), folders, plan, known_passphrases()))
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=workspace.root,
            text=True,
            # ^C must reach only this process, which then ends the other one in an orderly way.
            start_new_session=True,
        )
        try:
            found = _answers(process, text)
        finally:
            _end(process)
        if process.returncode:
            errors.seek(0)
            last = errors.read().strip().rpartition("\n")[2]
            raise DtkError(f"could not check the nodes: {last or f'exit code {process.returncode}'}")
    return _in_order(found, plan)


def _answers(process: subprocess.Popen[str], request: str) -> list[Finding]:
    if process.stdin is None or process.stdout is None:
        raise AssertionError("both are pipes")
    try:
        process.stdin.write(request)
        process.stdin.flush()
    except BrokenPipeError:
        return []
    return [finding_of(line) for line in process.stdout]


def _end(process: subprocess.Popen[str]) -> None:
    """End the process by closing its standard input, which also happens if this process is killed."""
    try:
        if process.stdin is not None:
            process.stdin.close()
        process.wait(_PATIENCE)
    except (subprocess.TimeoutExpired, KeyboardInterrupt, BrokenPipeError):
        process.kill()
        process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()


def _in_order(found: list[Finding], plan: Plan) -> list[Finding]:
    """Sort findings by the plan's node order, because nodes answer in any order; keep each node's own order."""
    nodes = list(dict.fromkeys(leaf.node for leaf in plan.leaves()))
    return sorted(found, key=lambda finding: nodes.index(finding.node))
