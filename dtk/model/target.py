"""A target of dtk.yaml, and what its type says of all targets of that type: pure data and functions, light to load."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dtk.errors import InvalidError
from dtk.model.settings import texts

Attributes = Mapping[str, object]
"""Node attributes by name, as a module, a service or a provider gives them."""

Power = Literal["start", "stop"]


@dataclass(frozen=True)
class UnknownWord:
    """A value of a node's attribute that a target does not know; ``known`` are the words that it does."""

    attribute: str
    word: str
    known: tuple[str, ...]
    expected: str


@dataclass(frozen=True)
class MachineDifference:
    """One way in which a machine is not what its node asks for; ``what`` in words: ``size small → large``.

    ``how`` says what it takes: ``resize`` a stop and a start, ``grow`` a larger disk, ``replace`` another machine.
    """

    how: Literal["resize", "grow", "replace"]
    what: str


def _never_differs(_target: Target, _attributes: Attributes, _known: Attributes) -> Iterable[MachineDifference]:
    return ()


def _as_asked(attributes: Attributes, _members: Sequence[Attributes]) -> Attributes:
    return attributes


def _as_they_are(_target: Target, attributes: Attributes) -> Attributes:
    return attributes


def _any_word(_target: Target, _attributes: Attributes) -> Iterable[UnknownWord]:
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


def _never_refused(_power: Power, _attributes: Attributes) -> str:
    return ""


@dataclass(frozen=True)
class TargetDescription:
    """What dtk asks of a type of target without loading its provider: to check, plan and show a service.

    The defaults are those of machines that are what they are: they take any attributes, and dtk keeps no firewall.

    Args:
        type: the word under ``type:`` in dtk.yaml.
        summary: one line for people and editors.
        provider: ``MODULE:NAME`` of what is called with the workspace and the target, and returns the provider;
            imported only when machines are worked on.
        settings_schema: a JSON file, the schema of the target's settings; what is not in it is refused.
        machine_attributes: a node's own attributes → those that its machine is asked for with, defaults included.
        unknown_words: what in a node's attributes the target does not know.
        firewall_sources: to which address ranges dtk opens the ports that components declare; None where the target
            keeps no firewall.
        region: where the target's machines are, "" where its settings do not say it; None for a target without regions.
            Its nodes have the attribute ``region``.
        machine_text: names what a machine will be, for the plan.
        machines_text: sums up several new machines, given the attributes of each, for the plan.
        machine_differences: how an existing node's machine differs from what the node asks for now, given the node's
            attributes as the target takes them and those in the state.
        like_members: a new member's attributes with what it has in common with the members that its group has.
        nodes_without_machine: given the nodes that a service wants, and the machine's id of those that exist, which of
            the others the target will have no machine for.
        kept_volumes: names the volumes that stay when a node with these attributes goes.
        power_refusal: why a node with these attributes can't be powered on or off, "" where it can.
    """

    type: str
    summary: str
    provider: str
    settings_schema: Path
    machine_attributes: Callable[[Target, Attributes], Attributes] = _as_they_are
    unknown_words: Callable[[Target, Attributes], Iterable[UnknownWord]] = _any_word
    firewall_sources: Callable[[Target], tuple[str, ...] | None] = _no_firewall
    region: Callable[[Target], str | None] = _no_region
    machine_text: Callable[[Attributes], str] = _nothing_to_show
    machines_text: Callable[[Sequence[Attributes]], str] = _no_sum
    machine_differences: Callable[[Target, Attributes, Attributes], Iterable[MachineDifference]] = _never_differs
    like_members: Callable[[Attributes, Sequence[Attributes]], Attributes] = _as_asked
    nodes_without_machine: Callable[[Target, Sequence[str], Mapping[str, str]], Iterable[str]] = _always_enough
    power_refusal: Callable[[Power, Attributes], str] = _never_refused
    kept_volumes: Callable[[Attributes], Iterable[str]] = _nothing_kept


@dataclass(frozen=True)
class Target:
    """A named target; ``settings`` are the keys of its type, checked by the schema in its description."""

    name: str
    description: TargetDescription
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def type(self) -> str:
        """The word under ``type:`` in dtk.yaml."""
        return self.description.type


def networks(target: Target, name: str) -> tuple[str, ...]:
    """Return the ranges of addresses under a target's key, without the bits of a host: so they can be compared.

    Raises:
        InvalidError: one of them is not a range of addresses.
    """
    try:
        return tuple(str(ipaddress.ip_network(text, strict=False)) for text in texts(target.settings, name))
    except ValueError as error:
        raise InvalidError(f"{name} of target '{target.name}': {error}") from None
