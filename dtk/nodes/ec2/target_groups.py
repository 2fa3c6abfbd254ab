"""Registers instances in the target groups of load balancers, and takes them out again.

Source: the API reference of Elastic Load Balancing v2. One DescribeTargetHealth per group and poll serves all nodes
that wait for it, in whatever steps they wait.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypedDict

from dtk.errors import DtkError, InvalidError
from dtk.nodes.ec2.answers import (
    GroupAttributesAnswer,
    Nothing,
    TargetAnswer,
    TargetGroupAnswer,
    TargetGroupsAnswer,
    TargetHealth,
    TargetHealthAnswer,
    TargetHealthsAnswer,
)
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.problems import AwsError
from dtk.nodes.provider import Membership, NodeRecord, Report

POLL_SECONDS = 5.0
DRAINING_SECONDS = 300.0
"""The deregistration delay of a target group that does not say it."""
_MARGIN_SECONDS = 15.0
"""How much longer than its delay AWS may take to end a deregistration."""
_ARN = "arn:"
_NOT_FOUND = "TargetGroupNotFound"
_REFUSED = ("InvalidTarget", "TooManyRegistrationsForTargetId", "TooManyTargets")
"""AWS's errors for single targets of a call."""
_IN_USE_BY_NONE = "Target.NotInUse"
_ZONE = "Availability Zone"
"""In AWS's description of ``Target.NotInUse`` if a load balancer uses the group, but not the target's zone."""


class _TargetsCall(TypedDict):
    """The parameters of RegisterTargets and DeregisterTargets."""

    TargetGroupArn: str
    Targets: list[dict[str, object]]


@dataclass(frozen=True)
class _GroupMember:
    """A node as a target group has it; ``port`` is 0 if the group has none either."""

    node: str
    arn: str
    name: str
    id: str
    port: int
    zone: str

    def suits(self, target: TargetAnswer) -> bool:
        """Return whether AWS's target is this one."""
        return target.get("Id") == self.id and self.port in (0, target.get("Port", 0))

    def in_call(self) -> dict[str, object]:
        """Return it in the API's form."""
        return {"Id": self.id, **({"Port": self.port} if self.port else {})}


@dataclass
class TargetGroups:
    """The target groups of one target, with the latest answer about each of them."""

    aws: Aws
    health_timeout: float
    _answers: dict[str, tuple[float, Sequence[TargetHealthAnswer]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def register(self, memberships: Sequence[Membership], report: Report) -> None:
        """Register nodes; report each once all of its groups find it healthy, or why they do not.

        Raises:
            DtkError: a group does not exist, or AWS refuses.
        """
        groups = self._groups(memberships)
        targets = [target for one in memberships for target in _targets(one, groups)]
        records = {one.record.node: one.record for one in memberships}
        for its in _by_group(targets).values():
            for target, error in _changed(self._register, its).items():
                if records.pop(target.node, None) is not None:
                    report(target.node, error)
        targets = [target for target in targets if target.node in records]
        waiting, until, last = list(targets), time.monotonic() + self.health_timeout, dict[_GroupMember, TargetHealth]()
        since = time.monotonic()
        while waiting:
            last |= self._health(waiting, since)
            waiting = [target for target in waiting if last.get(target, {}).get("State") != "healthy"]
            _report_finished(records, waiting, report)
            if waiting and time.monotonic() >= until:
                break
            since = self._pause(waiting, until)
        for target in waiting:
            if records.pop(target.node, None) is not None:
                report(target.node, self._unhealthy(target, last.get(target, {})))
        for node, record in records.items():
            report(node, record)

    def deregister(self, memberships: Sequence[Membership], report: Report) -> None:
        """Deregister nodes; report each once it is drained, at the latest after its groups' deregistration delay.

        Groups that are gone, and targets that AWS does not know, are left already.
        """
        groups = self._groups(memberships, may_be_gone=True)
        targets = [target for one in memberships for target in _leaving(one, groups)]
        until = dict[str, float]()
        for arn, its in _by_group(targets).items():
            with _may_be_gone():
                _changed(self._deregister, its)
                until[arn] = time.monotonic() + self._delay(arn) + _MARGIN_SECONDS
        records = {one.record.node: one.record for one in memberships}
        waiting, since = [target for target in targets if target.arn in until], time.monotonic()
        while waiting:
            found: dict[_GroupMember, TargetHealth] = {}
            for its in _by_group(waiting).values():
                with _may_be_gone():
                    found |= self._health(its, since)
            waiting = [
                target
                for target in waiting
                if found.get(target, {}).get("State", "unused") != "unused" and time.monotonic() < until[target.arn]
            ]
            _report_finished(records, waiting, report)
            since = self._pause(waiting)
        for node, record in records.items():
            report(node, record)

    def _register(self, asked: _TargetsCall) -> None:
        self.aws.request("register_targets", Nothing, asked, service="elbv2")

    def _deregister(self, asked: _TargetsCall) -> None:
        self.aws.request("deregister_targets", Nothing, asked, service="elbv2")

    def _pause(self, waiting: Sequence[_GroupMember], until: float = math.inf) -> float:
        """Wait for the next poll, or until a time; return since when an answer is new enough for it."""
        if waiting:
            time.sleep(max(0.0, min(POLL_SECONDS, until - time.monotonic())))
        return time.monotonic() - POLL_SECONDS / 2

    def _groups(
        self, memberships: Sequence[Membership], *, may_be_gone: bool = False
    ) -> Mapping[str, TargetGroupAnswer]:
        """Return the groups that nodes name and can be in, by name and by ARN.

        Raises:
            DtkError: a group does not exist or takes no instances, unless it may be gone.
        """
        nodes = {_split(group)[0]: one.record.node for one in memberships for group in (*one.groups, *one.kept)}
        found: dict[str, TargetGroupAnswer] = {}
        for key, words in (("TargetGroupArns", _arns(nodes)), ("Names", [w for w in nodes if w not in _arns(nodes)])):
            for group in self._described(key, words):
                found |= {group["TargetGroupArn"]: group, group["TargetGroupName"]: group}
        for word, node in nodes.items():
            kind = found[word].get("TargetType", "instance") if word in found else ""
            if kind in ("instance", "ip"):
                continue
            found.pop(word, None)
            if not may_be_gone:
                raise _unsuited(word, node, kind, self.aws.region)
        return found

    def _described(self, key: str, words: Sequence[str]) -> list[TargetGroupAnswer]:
        """Return the groups that exist; AWS refuses a list of which one does not, and does not say which."""
        if not words:
            return []
        try:
            return self.aws.ask("describe_target_groups", TargetGroupsAnswer, service="elbv2", **{key: list(words)})[
                "TargetGroups"
            ]
        except AwsError as error:
            if error.code != _NOT_FOUND:
                raise
        return [group for word in words for group in self._described(key, [word])] if len(words) > 1 else []

    def _delay(self, arn: str) -> float:
        answer = self.aws.ask(
            "describe_target_group_attributes", GroupAttributesAnswer, service="elbv2", TargetGroupArn=arn
        )
        values = {one.get("Key"): one.get("Value", "") for one in answer.get("Attributes", [])}
        said = values.get("deregistration_delay.timeout_seconds", "")
        return float(said) if said.isdecimal() else DRAINING_SECONDS

    def _health(self, targets: Sequence[_GroupMember], since: float) -> dict[_GroupMember, TargetHealth]:
        """Return what their groups say of targets; those that a group does not have are missing."""
        found: dict[_GroupMember, TargetHealth] = {}
        for arn, its in _by_group(targets).items():
            answers = self._answer(arn, since)
            for target in its:
                own = [one["TargetHealth"] for one in answers if target.suits(one.get("Target", {}))]
                found |= {target: own[0]} if own else {}
        return found

    def _answer(self, arn: str, since: float) -> Sequence[TargetHealthAnswer]:
        """Return a group's answer that was asked for after a time: the one that another step got, or a new one."""
        with self._lock:
            asked, answers = self._answers.get(arn, (-math.inf, ()))
            if asked < since:
                asked = time.monotonic()
                answers = self.aws.ask(
                    "describe_target_health", TargetHealthsAnswer, service="elbv2", TargetGroupArn=arn
                ).get("TargetHealthDescriptions", [])
                self._answers[arn] = (asked, answers)
            return answers

    def _unhealthy(self, target: _GroupMember, health: TargetHealth) -> DtkError:
        state = health.get("State", "not registered")
        told = ": ".join(filter(None, (health.get("Reason"), health.get("Description"))))
        hint = "check the health check of the group, and that the group's port is open to the load balancer (open_to)"
        if health.get("Reason") == _IN_USE_BY_NONE:
            hint = "configure a load balancer's listener to forward to the group, then dtk apply --resume"
            if _ZONE in health.get("Description", ""):
                way = "with a subnet there (aws elbv2 set-subnets), then dtk apply --resume"
                hint = f"enable the zone {target.zone} for the load balancer {way}"
        return DtkError(
            f"{target.node} is not healthy in target group {target.name} after {self.health_timeout:g} s: {state}"
            + (f" ({told})" if told else ""),
            hint=hint,
        )


def _changed(change: Callable[[_TargetsCall], None], targets: Sequence[_GroupMember]) -> dict[_GroupMember, DtkError]:
    """Register targets in their group, or deregister them; return those that AWS refuses.

    It refuses a whole call for one of them, and does not say which: each is then asked for alone.
    """
    try:
        change({"TargetGroupArn": targets[0].arn, "Targets": [target.in_call() for target in targets]})
    except AwsError as error:
        if error.code not in _REFUSED:
            raise
        if len(targets) == 1:
            return {targets[0]: error}
        return {target: error for one in targets for target, error in _changed(change, [one]).items()}
    return {}


def _unsuited(word: str, node: str, kind: str, region: str) -> DtkError:
    """Return the error for a group that does not exist (``kind`` is "" then), or takes no instances."""
    if kind:
        return InvalidError(f"target group '{word}' of node '{node}' is for targets of type {kind}, not for instances")
    hint = "check target_groups, and the region and account of the target"
    return InvalidError(f"the target group '{word}' of node '{node}' does not exist in {region}", hint=hint)


def _report_finished(records: dict[str, NodeRecord], waiting: Iterable[_GroupMember], report: Report) -> None:
    """Report the nodes of which no target waits any more, and take them out of ``records``."""
    left = {target.node for target in waiting}
    for node in [node for node in records if node not in left]:
        report(node, records.pop(node))


def _targets(membership: Membership, groups: Mapping[str, TargetGroupAnswer]) -> Iterable[_GroupMember]:
    """Yield a node's targets in the groups that exist."""
    record = membership.record
    for word, port in map(_split, membership.groups):
        group = groups.get(word)
        if group is None:
            continue
        is_instance = group.get("TargetType", "instance") == "instance"
        id_ = record.id if is_instance else str(record.attributes.get("private_address", ""))
        its_port = port or group.get("Port", 0)
        zone = str(record.attributes.get("availability_zone", ""))
        # AWS itself takes out an instance that is gone, whose id the record lacks.
        if not id_:
            continue
        yield _GroupMember(record.node, group["TargetGroupArn"], group["TargetGroupName"], id_, its_port, zone)


def _leaving(membership: Membership, groups: Mapping[str, TargetGroupAnswer]) -> Iterable[_GroupMember]:
    """Yield the targets that a node leaves: not those that it keeps, whatever it calls them."""
    kept = set(_targets(replace(membership, groups=membership.kept), groups))
    return (target for target in _targets(membership, groups) if target not in kept)


@contextmanager
def _may_be_gone() -> Iterator[None]:
    """Pass over the error for a group that does not exist any more."""
    try:
        yield
    except AwsError as error:
        if error.code != _NOT_FOUND:
            raise


def _split(group: str) -> tuple[str, int]:
    """Split ``app:8080``, or an ARN with a port, into the group and its port, 0 for none."""
    start, _, port = group.rpartition(":")
    is_port = start and port.isdecimal() and (not group.startswith(_ARN) or ":targetgroup/" in start)
    return (start, int(port)) if is_port else (group, 0)


def _arns(words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(_ARN)]


def _by_group(targets: Iterable[_GroupMember]) -> dict[str, list[_GroupMember]]:
    found: dict[str, list[_GroupMember]] = {}
    for target in targets:
        found.setdefault(target.arn, []).append(target)
    return found
