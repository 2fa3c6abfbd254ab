"""Where nodes come from, as dtk.yaml says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

TargetType = Literal["local", "hosts", "ec2"]


@dataclass(frozen=True)
class Target:
    """A named target; ``settings`` are the keys of its type, checked by the workspace schema."""

    name: str
    type: TargetType
    settings: Mapping[str, Any] = field(default_factory=dict)


EMBEDDED = Target("local", "local")
"""The target that every workspace has without being told."""
