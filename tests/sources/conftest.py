"""Fixtures: git repositories and a workspace for each test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dtk.dsl.yaml.edit import new_workspace
from dtk.state.workspace import Workspace
from tests.sources.repositories import Place, Repo


@pytest.fixture
def repo(tmp_path: Path) -> Callable[[str], Repo]:
    """Return a function that creates a repository by name, beside the workspace."""

    def made(name: str) -> Repo:
        folder = tmp_path / name
        folder.mkdir()
        repository = Repo(folder)
        repository.git("init", "--quiet")
        return repository

    return made


@pytest.fixture
def place(tmp_path: Path) -> Place:
    workspace = Workspace(tmp_path / "workspace")
    workspace.modules.mkdir(parents=True)
    workspace.services.mkdir()
    new_workspace(workspace.file)
    return Place(workspace)
