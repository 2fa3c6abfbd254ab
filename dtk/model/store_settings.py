"""Where a workspace's store is, as ``store:`` in dtk.yaml says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_LEASE_SECONDS = 60.0


@dataclass(frozen=True)
class StoreSettings:
    """A store: ``type`` is ``s3`` (the bucket and what follows) or ``folder`` (the path). ``lease`` is in seconds.

    ``access_kms_key`` encrypts the services' private keys alone, so that who may read state and logs can't read them.
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
        """The store for people."""
        return self.path if self.type == "folder" else f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def settings_of(document: Mapping[str, object]) -> StoreSettings:
    """Return the settings that JSON data holds, ``asdict`` of which gives the data again."""
    named: dict[str, str] = {name: str(value) for name, value in document.items() if name != "lease"}
    return StoreSettings(**named, lease=float(str(document.get("lease", DEFAULT_LEASE_SECONDS))))
