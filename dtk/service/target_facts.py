"""Asks a service's target what the words in its nodes' requests mean now, for a plan that is shown and then applied."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from dtk.errors import DtkError
from dtk.model.target import Target
from dtk.plan.resolve.request import PlanRequest
from dtk.plan.resolve.service import topology_of
from dtk.state.workspace import Workspace


def with_facts(workspace: Workspace, request: PlanRequest) -> Target:
    """Return a request's target with what it reports: the ids of images, and the sizes of machine types.

    If the target can't be asked, the plan lacks them: the task reports the reason when it needs the target.
    """
    target = request.target
    if target.description.region(target) is None:
        return target
    from dtk.nodes.targets import provider_for  # noqa: PLC0415 - loads the target's own library

    with suppress(DtkError):
        nodes = topology_of(request).nodes.values()
        requests = [target.description.machine_attributes(target, node.attributes) for node in nodes]
        return replace(target, facts=provider_for(target, workspace).look_up(requests))
    return target
