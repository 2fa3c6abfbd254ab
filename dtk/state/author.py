"""Who runs this command, determined from a CI job's environment, the system and git."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path

from dtk.model.author import Author

_USERS = ("GITHUB_ACTOR", "GITLAB_USER_LOGIN")
_URLS = ("CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL")
_OWN_FILES = ("dtk.yaml", "dtk.lock", "modules", "services")
"""The inputs of a task. Changes to other files, such as a job's own output, don't make a commit dirty."""
_PATIENCE = 10.0


def this_author(root: Path) -> Author:
    """Return who runs this command in a workspace; unknown fields are "".

    Args:
        root: the workspace's folder.
    """
    commit = _git(root, "rev-parse", "HEAD")
    dirty = bool(commit) and bool(_git(root, "status", "--porcelain", "--", *_OWN_FILES))
    return Author(this_user(os.environ), socket.gethostname(), commit, dirty, job_url(os.environ))


def this_user(environment: Mapping[str, str]) -> str:
    """Return the name of the user: the one who started the CI job, or this system's; its number if it has no name."""
    for name in _USERS:
        if environment.get(name):
            return environment[name]
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def job_url(environment: Mapping[str, str]) -> str:
    """Return the URL of the CI job that runs this command, "" outside of CI."""
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = (environment.get(name, "") for name in names)
    if server and repository and run:
        return f"{server}/{repository}/actions/runs/{run}"
    return next((environment[name] for name in _URLS if environment.get(name)), "")


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=root,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
