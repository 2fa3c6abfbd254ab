"""Resolves a target in dtk.yaml to the provider of its nodes."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import cast

from dtk.model.target import Target
from dtk.nodes.provider import Provider
from dtk.state.workspace import Workspace


def provider_for(target: Target, workspace: Workspace) -> Provider:
    """Return the provider of a target's machines; its libraries are only loaded here."""
    make = cast(Callable[[Workspace, Target], Provider], resolve_name(target.description.provider))
    return make(workspace, target)
