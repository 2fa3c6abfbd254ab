"""Where nodes come from, as dtk.yaml says it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from dtk.errors import InvalidError

TargetType = Literal["local", "hosts", "ec2"]


@dataclass(frozen=True)
class Target:
    """A named target; ``settings`` are the keys of its type, checked by the workspace schema."""

    name: str
    type: TargetType
    settings: Mapping[str, Any] = field(default_factory=dict)


def planned_target(document: Mapping[str, Any]) -> Target:
    """Return the target as a plan holds it: its name and type among its settings."""
    settings = {key: value for key, value in document.items() if key not in ("name", "type")}
    return Target(document["name"], document["type"], settings)


EMBEDDED = Target("local", "local")
"""The target that every workspace has without being told."""


def networks(target: Target, name: str) -> tuple[str, ...]:
    """Return the ranges of addresses under a target's key, without the bits of a host: so they can be compared.

    Raises:
        InvalidError: one of them is none.
    """
    given = target.settings.get(name) or ()
    texts = (given,) if isinstance(given, str) else given
    try:
        return tuple(str(ipaddress.ip_network(text, strict=False)) for text in texts)
    except ValueError as error:
        raise InvalidError(f"{name} of target '{target.name}': {error}") from None
