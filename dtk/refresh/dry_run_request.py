"""The request to the process that checks nodes and its findings, one line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from dtk.model.plan import Finding, Plan
from dtk.plan.document import CODEC


@dataclass(frozen=True)
class DryRunRequest:
    """The components to check (node, component), and the plan with their actions.

    ``workspace`` is its folder; ``modules`` maps module names to folders; ``passphrases`` has those of key
    files that this process knows.
    """

    workspace: str
    components: tuple[tuple[str, ...], ...]
    modules: Mapping[str, str]
    plan: Plan
    passphrases: Mapping[str, str] = field(repr=False)


def to_line(message: DryRunRequest | Finding) -> str:
    """Return a request or a finding as one line."""
    return json.dumps(CODEC.document(message)) + "\n"


def request_of(line: str | bytes) -> DryRunRequest:
    """Parse the request in a line."""
    return CODEC.instance(DryRunRequest, json.loads(line))


def finding_of(line: str) -> Finding:
    """Parse the finding in a line."""
    return CODEC.instance(Finding, json.loads(line))
