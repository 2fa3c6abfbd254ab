"""Asks a service's target what the words in its nodes' requests mean now, for a plan that is shown and then applied."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from dtk.errors import DtkError
from dtk.plan.rounds import topology_of

if TYPE_CHECKING:
    from dtk.service.planning import Inputs


def with_facts(inputs: Inputs) -> Inputs:
    """Return a service's inputs with what its target reports: the ids of images, and the sizes of machine types.

    If the target can't be asked, the plan lacks them: the task reports the reason when it needs the target.
    """
    target = inputs.target
    if target.description.region(target) is None:
        return inputs
    from dtk.nodes.targets import provider_for  # noqa: PLC0415 - loads the target's own library

    with suppress(DtkError):
        nodes = topology_of(inputs.request()).nodes.values()
        requests = [target.description.machine_attributes(target, node.attributes) for node in nodes]
        facts = provider_for(target, inputs.workspace).look_up(requests)
        return replace(inputs, target=replace(target, facts=facts))
    return inputs
