"""Code that runs at the start of each Python process of a test: dtk does not know it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def preload(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> Path:
    """Let each Python process that the test starts from now on run a script first; return its new folder."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(script)
    monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
    return folder
