"""Targets of dtk.yaml and the descriptions of their types: pure data and functions, cheap to import."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dtk.errors import InvalidError
from dtk.model.settings import texts

Attributes = Mapping[str, object]
"""Node attributes by name, from a module, a service or a provider."""

RESERVED = "reserved"
"""The node attribute that lists what a target keeps for the node, and releases when the node goes for good."""

ADOPTED = "adopted"
"""The node attribute that is true for a machine that dtk did not create: it is released when its node goes."""

Power = Literal["start", "stop"]


@dataclass(frozen=True)
class WrongValue:
    """A node attribute value that the target can't use.

    ``known`` are the valid values; ``problem`` says what is wrong if the target knows the value.
    """

    attribute: str
    word: str
    known: tuple[str, ...]
    expected: str
    problem: str = ""

    def message(self, target: str) -> str:
        """Return what is wrong with the value, for people."""
        return self.problem or f"{self.attribute} '{self.word}' is not known to target '{target}'"


@dataclass(frozen=True)
class MachineDifference:
    """One way in which a machine differs from what its node requests; ``what`` describes it: ``size small → large``.

    ``how`` is the remedy: ``resize`` (stop and start), ``grow`` (enlarge a disk), ``modify`` (change a disk otherwise,
    such as its type) or ``replace`` (a new machine); ``keep`` means that it needs none: what the request names has
    changed, not the request.
    """

    how: Literal["resize", "grow", "modify", "replace", "keep"]
    what: str


@dataclass(frozen=True)
class TargetFacts:
    """What the words in the requests of machines mean at the moment, as far as the target was asked.

    ``images`` are the ids of images by word, ``sizes`` the vCPUs and the memory in MiB of machine types by name.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)


NO_FACTS = TargetFacts()


def _never_differs(_target: Target, _attributes: Attributes, _known: Attributes) -> Iterable[MachineDifference]:
    return ()


def _as_asked(attributes: Attributes, _members: Sequence[Attributes]) -> Attributes:
    return attributes


def _as_they_are(_target: Target, attributes: Attributes) -> Attributes:
    return attributes


def _any_value(_target: Target, _attributes: Attributes) -> Iterable[WrongValue]:
    return ()


def _no_firewall(_target: Target) -> tuple[str, ...] | None:
    return None


def _no_region(_target: Target) -> str | None:
    return None


def _nothing_to_show(_attributes: Attributes) -> str:
    return ""


def _always_enough(_target: Target, _nodes: Sequence[str], _held: Mapping[str, str]) -> Iterable[str]:
    return ()


def _no_sum(_machines: Sequence[Attributes]) -> str:
    return ""


def _nothing_kept(_attributes: Attributes) -> Iterable[str]:
    return ()


def _no_groups(_target: Target, _node: str, _attributes: Attributes) -> tuple[str, ...]:
    return ()


def _never_refused(_power: Power, _attributes: Attributes) -> str:
    return ""


@dataclass(frozen=True)
class TargetDescription:
    """What dtk needs to know of a target type to check, plan and show a service without loading its provider.

    The defaults suit targets with fixed machines: any attributes are accepted, and dtk manages no firewall.

    Args:
        type: the value of ``type:`` in dtk.yaml.
        summary: one line for users and editors.
        provider: ``MODULE:NAME`` of a callable that takes the workspace and the target and returns the provider;
            imported only when dtk works on machines.
        settings_schema: the JSON schema file of the target's settings; unknown keys are refused.
        machine_attributes: a node's own attributes → those to request its machine with, defaults included.
        wrong_values: the values in a node's attributes that the target can't use.
        firewall_sources: the address ranges to which dtk opens the ports that components declare; None if the
            target manages no firewall.
        region: the region of the target's machines, "" if its settings do not say; None for a target without
            regions. If it has one, its nodes have the attribute ``region``.
        machine_text: describes a future machine, for the plan.
        machines_text: summarizes several new machines, given the attributes of each, for the plan.
        machine_differences: how an existing machine differs from what its node requests now, given the node's
            attributes as the target takes them and those in the state.
        like_members: a new member's attributes, adjusted to match the existing members of its group.
        nodes_without_machine: given the nodes that a service wants and the machine ids of those that exist, the
            nodes for which the target will have no machine.
        kept_volumes: the names of the volumes that remain when a node with these attributes is removed.
        target_groups: the load balancer groups and DNS names (``dtk.model.membership``) in which a node with these
            attributes is to be registered.
        power_refusal: why a node with these attributes can't be powered on or off, "" if it can.
    """

    type: str
    summary: str
    provider: str
    settings_schema: Path
    machine_attributes: Callable[[Target, Attributes], Attributes] = _as_they_are
    wrong_values: Callable[[Target, Attributes], Iterable[WrongValue]] = _any_value
    firewall_sources: Callable[[Target], tuple[str, ...] | None] = _no_firewall
    region: Callable[[Target], str | None] = _no_region
    machine_text: Callable[[Attributes], str] = _nothing_to_show
    machines_text: Callable[[Sequence[Attributes]], str] = _no_sum
    machine_differences: Callable[[Target, Attributes, Attributes], Iterable[MachineDifference]] = _never_differs
    like_members: Callable[[Attributes, Sequence[Attributes]], Attributes] = _as_asked
    nodes_without_machine: Callable[[Target, Sequence[str], Mapping[str, str]], Iterable[str]] = _always_enough
    power_refusal: Callable[[Power, Attributes], str] = _never_refused
    kept_volumes: Callable[[Attributes], Iterable[str]] = _nothing_kept
    target_groups: Callable[[Target, str, Attributes], tuple[str, ...]] = _no_groups


@dataclass(frozen=True)
class Target:
    """A named target; ``settings`` are the keys of its type, validated by its description's schema.

    ``facts`` are what its provider reported for this plan, nothing if nobody asked.
    """

    name: str
    description: TargetDescription
    settings: Mapping[str, object] = field(default_factory=dict)
    facts: TargetFacts = NO_FACTS

    @property
    def type(self) -> str:
        """The value of ``type:`` in dtk.yaml."""
        return self.description.type


def networks(target: Target, name: str) -> tuple[str, ...]:
    """Return the address ranges under a target's key with host bits cleared, so that they can be compared.

    Raises:
        InvalidError: a value is not an address range.
    """
    try:
        return tuple(str(ipaddress.ip_network(text, strict=False)) for text in texts(target.settings, name))
    except ValueError as error:
        raise InvalidError(f"{name} of target '{target.name}': {error}") from None
