"""dtk.yaml, read and checked: the targets of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dtk.model.target import Target


@dataclass(frozen=True)
class WorkspaceConfiguration:
    """What dtk.yaml says; ``targets`` always has the embedded ``local``."""

    default_target: str
    targets: Mapping[str, Target]


def load_workspace(file: Path, display_root: Path | None = None) -> WorkspaceConfiguration:
    """Return what a dtk.yaml says.

    Raises:
        InvalidError: with all mistakes, in file order.
    """
    raise NotImplementedError
