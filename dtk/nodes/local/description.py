"""The description of local targets, usable without accessing any of their nodes."""

from __future__ import annotations

from pathlib import Path

from dtk.model.target import TargetDescription

LOCAL = TargetDescription(
    type="local",
    summary="nodes on this machine",
    provider="dtk.nodes.local.provider:from_target",
    settings_schema=Path(__file__).with_name("settings.schema.json"),
)
