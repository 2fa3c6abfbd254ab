"""Tests that the policy in docs/ec2.md allows exactly the calls that dtk makes."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

from dtk.nodes.ec2.problems import statement_for

ROOT = Path(__file__).resolve().parents[2]
METHODS = dict.fromkeys(("call", "ask", "request", "pages"), "ec2")
IN_POLICIES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
"""Services that policies name otherwise than boto3."""
OF_CALLS = (
    *("OptionalTargetGroups", "OptionalDnsRecords", "OptionalElasticIps", "OptionalCheckOfQuotas"),
    "OptionalAdoptedInstances",
)
"""The optional statements for calls of dtk that not all need; the others are for what AWS does itself."""
BESIDE_CALLS = {"ec2:CreateTags", "iam:PassRole"}
"""Permissions that RunInstances, CreateSecurityGroup and ImportKeyPair need for tags and the instance profile."""


def calls_of(file: Path) -> set[str]:
    """Return the IAM actions of the calls in a file, taken from the operation names in its calls."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            first = node.args[0] if node.args else None
            if isinstance(first, ast.Constant):
                keywords = {word.arg: word.value for word in node.keywords}
                service = keywords.get("service", ast.Constant(METHODS[node.func.attr]))
                assert isinstance(service, ast.Constant), f"{file}:{node.lineno}: name the service by a literal"
                named = str(service.value)
                prefix = IN_POLICIES.get(named, named)
                found.add(f"{prefix}:{''.join(word.capitalize() for word in str(first.value).split('_'))}")
    return found


def statements() -> list[dict[str, Any]]:
    """Return the statements of the policy in the documentation."""
    text = (ROOT / "docs" / "ec2.md").read_text()
    return list(json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])["Statement"])


def policy(*optional: str) -> set[str]:
    """Return the actions of the policy in the documentation; of the optional statements, only those named."""
    needed = [one for one in statements() if not one.get("Sid", "").startswith("Optional") or one["Sid"] in optional]
    return {action for statement in needed for action in statement["Action"]}


def test_the_policy_names_every_call_and_no_other() -> None:
    made = set().union(*(calls_of(file) for file in (ROOT / "dtk" / "nodes" / "ec2").glob("*.py")))
    assert {"ec2:RunInstances", "ec2:TerminateInstances", "ssm:GetParameter"} <= made
    assert policy(*OF_CALLS) == made | BESIDE_CALLS
    assert not any(action.startswith(("elasticloadbalancing", "route53")) for action in policy())


def test_a_denied_call_is_told_with_the_statement_that_allows_it() -> None:
    named = {action: one.get("Sid", "") for one in statements() for action in one["Action"]}
    expected = {action: sid if sid in OF_CALLS else "" for action, sid in named.items()}
    assert {action: statement_for(action) for action in named} == expected
