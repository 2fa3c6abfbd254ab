"""Edits of service.yaml and dtk.yaml that leave everything else as it was written."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def set_attribute(file: Path, path: str, value: Any) -> None:
    """Set one line under ``attributes:`` of a service.yaml; comments, order and quotes stay."""
    raise NotImplementedError


def unset_attribute(file: Path, path: str) -> bool:
    """Remove one line under ``attributes:``; return whether there was one."""
    raise NotImplementedError


def new_service(file: Path, *, assembly: str, target: str, attributes: Mapping[str, Any] | None = None) -> None:
    """Write a new service.yaml; the service is named as its folder. Raises UsageError when there is one already."""
    raise NotImplementedError


def new_workspace(file: Path) -> None:
    """Write a new dtk.yaml. Raises UsageError when there is one already."""
    raise NotImplementedError
