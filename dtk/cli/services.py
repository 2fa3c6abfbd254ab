"""Selects the services for commands that work on several of them."""

from __future__ import annotations

from dtk.state.workspace import Workspace


def chosen_services(workspace: Workspace, changed_since: str | None) -> list[str]:
    """Return the workspace's services, or those that changed since a commit.

    Raises:
        UsageError: git has no such commit.
    """
    if changed_since is None:
        return workspace.service_names()
    from dtk.service.changed_since import services_changed_since  # noqa: PLC0415 - reads modules, starts git

    return services_changed_since(workspace, changed_since)
