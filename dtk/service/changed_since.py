"""Finds the services that a change in git affects: through their files, the modules they use, or dtk.yaml."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from dtk.dsl.catalog import Catalog, load_catalog
from dtk.dsl.service import load_service
from dtk.errors import DtkError, UsageError
from dtk.state.workspace import Workspace

_NO_COMMIT = re.compile(r"0{40}|0{64}")
"""The all-zero commit that forges report as the commit before the first push of a branch."""


def services_changed_since(workspace: Workspace, reference: str) -> list[str]:
    """Return the services that changed since this branch left another one.

    Uncommitted changes count, too. A service that can't be read counts as changed: planning it reports the reason.

    Args:
        workspace: the workspace, in a git repository.
        reference: a commit, branch or tag, such as ``origin/main``; all zeros (a forge's "no commit") selects all.

    Raises:
        UsageError: git has no such commit here, or it has no commit in common with HEAD.
        DtkError: git is not installed, or there is no repository.
    """
    if _NO_COMMIT.fullmatch(reference):
        return workspace.service_names()
    changed = set(_changed_files(workspace.root, reference))
    if workspace.file.name in changed:
        return workspace.service_names()
    catalog = load_catalog(workspace)
    return [name for name in workspace.service_names() if _is_touched(workspace, catalog, name, changed)]


def _is_touched(workspace: Workspace, catalog: Catalog, name: str, changed: set[str]) -> bool:
    file = workspace.service_file(name)
    if _any_below(file.parent, workspace.root, changed):
        return True
    try:
        modules = _modules(workspace, catalog, name)
    except DtkError:
        return True
    locked = workspace.lock_file.name in changed
    return any(
        (locked and folder.is_relative_to(workspace.installed)) or _any_below(folder, workspace.root, changed)
        for folder in modules
    )


def _modules(workspace: Workspace, catalog: Catalog, name: str) -> list[Path]:
    service = load_service(workspace.service_file(name), workspace.root)
    uses = [use for node in service.nodes.values() for use in node.components]
    uses += [use for found in service.components.values() for use in found]
    names = {service.module, *(module.name for use in uses for module in catalog.providing(use.name.type))}
    return [module.folder for one in names for module in catalog.with_dependencies(one).values()]


def _any_below(folder: Path, root: Path, changed: set[str]) -> bool:
    if not folder.is_relative_to(root):
        return False
    prefix = f"{folder.relative_to(root).as_posix()}/"
    return any(name.startswith(prefix) for name in changed)


def _changed_files(root: Path, reference: str) -> Iterator[str]:
    """Yield the files below a folder that differ from the merge base with a reference, including untracked files."""
    begun = _git(root, "merge-base", "--end-of-options", reference, "HEAD")
    if begun.returncode:
        message = begun.stderr.strip() or f"'{reference}' and HEAD have no commit in common"
        hint = "fetch it with its history: git fetch --unshallow origin (fetch-depth: 0 in actions/checkout)"
        raise UsageError(f"git can't compare with '{reference}': {message}", hint=hint)
    commit = begun.stdout.strip()
    for words in (("diff", "--name-only", "-z", "--relative", commit), ("ls-files", "-o", "-z", "--exclude-standard")):
        done = _git(root, *words)
        if done.returncode:
            raise DtkError(f"git {words[0]} failed: {done.stderr.strip()}")
        yield from filter(None, done.stdout.split("\0"))


def _git(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise DtkError("--changed-since needs git, which is not installed", hint="install git") from None
