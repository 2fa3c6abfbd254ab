"""What dtk has to know of targets of existing machines before any of them is touched."""

from __future__ import annotations

from pathlib import Path

from dtk.model.target import Attributes, Power, TargetDescription


def _power_refusal(_power: Power, _attributes: Attributes) -> str:
    return "dtk does not power hosts on or off"


HOSTS = TargetDescription(
    type="hosts",
    summary="machines that exist",
    provider="dtk.nodes.hosts.provider:HostsProvider",
    settings_schema=Path(__file__).with_name("settings.schema.json"),
    power_refusal=_power_refusal,
)
