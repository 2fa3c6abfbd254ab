"""What the process that asks nodes is given and gives back, a line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from dtk.model.plan import Finding, Plan
from dtk.plan.document import CODEC


@dataclass(frozen=True)
class DryRunRequest:
    """Which components to ask about (node, component), with the plan that has their actions.

    ``workspace`` is its folder; ``modules`` maps names to the folders of modules.
    """

    workspace: str
    components: tuple[tuple[str, ...], ...]
    modules: Mapping[str, str]
    plan: Plan


def to_line(message: DryRunRequest | Finding) -> str:
    """Return a request or a finding as one line."""
    return json.dumps(CODEC.document(message)) + "\n"


def request_of(line: str | bytes) -> DryRunRequest:
    """Return the request that a line holds."""
    return CODEC.instance(DryRunRequest, json.loads(line))


def finding_of(line: str) -> Finding:
    """Return the finding that a line holds."""
    return CODEC.instance(Finding, json.loads(line))
