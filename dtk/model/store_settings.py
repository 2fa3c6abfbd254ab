"""The settings of a workspace's store, from ``store:`` in dtk.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class StoreSettings:
    """A store: ``type`` is ``s3`` (with the bucket fields) or ``folder`` (with the path). ``lease`` is in seconds.

    ``access_kms_key`` encrypts only the services' private keys, so that readers of state and logs can't decrypt them.
    """

    type: str
    path: str = ""
    bucket: str = ""
    prefix: str = ""
    region: str = ""
    profile: str = ""
    endpoint_url: str = ""
    kms_key: str = ""
    access_kms_key: str = ""
    lease: float = DEFAULT_LEASE_SECONDS

    @property
    def shown(self) -> str:
        """The store's location, for people."""
        return self.path if self.type == "folder" else f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def settings_of(document: Mapping[str, object]) -> StoreSettings:
    """Return the settings from JSON data; ``asdict`` reverses it."""
    named: dict[str, str] = {name: str(value) for name, value in document.items() if name != "lease"}
    return StoreSettings(**named, lease=float(str(document.get("lease", DEFAULT_LEASE_SECONDS))))
