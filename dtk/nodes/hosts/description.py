"""The description of targets with existing machines, usable without connecting to any of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from dtk.model.settings import as_mapping, mapping, texts
from dtk.model.target import Attributes, Power, Target, TargetDescription


def _power_refusal(_power: Power, _attributes: Attributes) -> str:
    return "dtk does not power hosts on or off"


def _nodes_without_machine(target: Target, nodes: Sequence[str], held: Mapping[str, str]) -> Iterator[str]:
    """Yield the nodes without a host; hosts are assigned in the same way as by the provider."""
    # Imported late: every command that reads dtk.yaml loads this description, but only plans need these.
    from dtk.nodes.hosts.claims import Claim  # noqa: PLC0415
    from dtk.nodes.hosts.host import FreeHosts, Host  # noqa: PLC0415
    from dtk.nodes.provider import Connection  # noqa: PLC0415

    given = mapping(target.settings, "hosts").items()
    hosts = [Host(name, Connection(hostname=""), texts(as_mapping(one), "nodes")) for name, one in given]
    free = FreeHosts(hosts, {machine: Claim("", "", node) for node, machine in held.items()})
    for node in nodes:
        if node not in held and free.take(Claim("", "", node)) is None:
            yield node


HOSTS = TargetDescription(
    type="hosts",
    summary="existing machines",
    provider="dtk.nodes.hosts.provider:HostsProvider",
    settings_schema=Path(__file__).with_name("settings.schema.json"),
    nodes_without_machine=_nodes_without_machine,
    power_refusal=_power_refusal,
)
