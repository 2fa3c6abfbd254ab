"""The target groups of the mock EC2 API: targets by id and port that drain, where moto has one port for each id."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree import ElementTree

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.elbv2.models import elbv2_backends

_SPACE = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
_HEALTHY = ("healthy", "", "")
_DRAINING = ("draining", "Target.DeregistrationInProgress", "")

Health = tuple[str, str, str]
"""The state of a target, and the code and text of the reason."""


@dataclass
class TargetGroups:
    """The targets of all groups, by group, id and port.

    Each that drains has the number of answers that still name it, the others have None.
    """

    _targets: dict[tuple[str, str, int], int | None] = field(default_factory=dict)

    def answer(self, action: str, parameters: Mapping[str, str], health: Mapping[str, Health]) -> str:
        """Return the answer of a call; "" for one that moto answers.

        Args:
            action: the operation.
            parameters: its parameters.
            health: the health of targets by id; the others are healthy.
        """
        arn = parameters.get("TargetGroupArn", "")
        if action not in ("DeregisterTargets", "DescribeTargetHealth") or _port_of(arn) is None:
            return ""
        found = "".join(self._described(arn, health)) if action == "DescribeTargetHealth" else ""
        result = (
            f"<TargetHealthDescriptions>{found}</TargetHealthDescriptions>" if action == "DescribeTargetHealth" else ""
        )
        return f'<{action}Response xmlns="{_SPACE}"><{action}Result>{result}</{action}Result></{action}Response>'

    def note(self, action: str, parameters: Mapping[str, str], draining: int) -> None:
        """Remember what a call that succeeded has changed; so many answers show a target that drains."""
        arn = parameters.get("TargetGroupArn", "")
        for id_, port in _named(parameters) if action in ("RegisterTargets", "DeregisterTargets") else ():
            target = (arn, id_, port or _port_of(arn) or 0)
            if action == "RegisterTargets":
                self._targets[target] = None
            elif self._targets.get(target, 0) is None:
                self._targets[target] = draining

    def _described(self, arn: str, health: Mapping[str, Health]) -> Iterator[str]:
        for target, left in self._targets.items():
            if target[0] == arn and left != 0:
                yield _member(*target[1:], _DRAINING if left else health.get(target[1], _HEALTHY))
            if target[0] == arn and left:
                self._targets[target] = left - 1


def _member(id_: str, port: int, health: Health) -> str:
    member = ElementTree.Element("member")
    target, shown = ElementTree.SubElement(member, "Target"), ElementTree.SubElement(member, "TargetHealth")
    for parent, name, value in (
        (target, "Id", id_),
        (target, "Port", str(port)),
        *zip(itertools.repeat(shown), ("State", "Reason", "Description"), health, strict=False),
    ):
        if value:
            ElementTree.SubElement(parent, name).text = value
    return ElementTree.tostring(member, encoding="unicode")


def _port_of(arn: str) -> int | None:
    """Return the port of a group, None if there is no such group."""
    groups = (
        group for backend in elbv2_backends[DEFAULT_ACCOUNT_ID].values() for group in backend.target_groups.values()
    )
    return next((int(group.port) for group in groups if group.arn == arn), None)


def _named(parameters: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Yield id and port of the targets in a call, port 0 for none."""
    for name, value in parameters.items():
        if name.startswith("Targets.member.") and name.endswith(".Id"):
            yield value, int(parameters.get(f"{name.removesuffix('.Id')}.Port", "0"))
