"""The head of a service in the store: its lease and its committed state; the only mutable object of a service."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from dtk.errors import NewerFormatError
from dtk.store.errors import DamagedError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Lease:
    """The lease on a service. ``nonce`` identifies the holder; ``beat`` increases with each of its writes of the head.

    ``seconds`` is how long the lease is valid without a heartbeat; ``task`` is 0 before a task starts; ``job_url`` is
    the URL of the CI job, if any.
    """

    nonce: str
    host: str
    user: str
    command: str
    seconds: float
    task: int = 0
    job_url: str = ""
    beat: int = 0

    def __str__(self) -> str:
        job = f", {self.job_url}" if self.job_url else ""
        task = f", task {self.task}" if self.task else ""
        return f"'{self.command}' ({self.user}@{self.host}{task}{job})"


@dataclass(frozen=True)
class StatePointer:
    """The body of the committed state: its key and the SHA-256 digest of its bytes in hex."""

    key: str
    sha256: str


@dataclass(frozen=True)
class Head:
    """A service in the store. ``epoch`` counts its holders; ``serial`` is the serial of the committed state.

    ``destroyed`` marks a service that no longer exists: its lineage has ended, its logs stay.
    """

    lineage: str
    serial: int = 0
    epoch: int = 1
    state: StatePointer | None = None
    last_task: int = 0
    destroyed: bool = False
    lease: Lease | None = None

    def held_by(self, nonce: str) -> bool:
        """Return whether the holder with this nonce has the lease."""
        return self.lease is not None and self.lease.nonce == nonce


def with_beat(head: Head) -> Head:
    """Return the head with the beat counter of its lease increased: heads never repeat, and so neither do etags."""
    return replace(head, lease=replace(head.lease, beat=head.lease.beat + 1)) if head.lease else head


def encode(head: Head) -> bytes:
    """Return the object content of a head; see schemas/head.schema.json."""
    return json.dumps({"format_version": FORMAT_VERSION, **asdict(head)}, ensure_ascii=False).encode()


def decode(data: bytes, source: str) -> Head:
    """Return the head stored in an object.

    Raises:
        DtkError: a newer dtk wrote the head.
        DamagedError: the content is not a valid head.
    """
    try:
        document: dict[str, Any] = dict(json.loads(data))
        version = int(document.pop("format_version"))
        if version > FORMAT_VERSION:
            raise NewerFormatError(source, "head", version)
        state, lease = document.pop("state"), document.pop("lease")
        return Head(
            **document,
            state=StatePointer(**state) if state else None,
            lease=Lease(**lease) if lease else None,
        )
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"{source} in the store is damaged: {type(error).__name__}: {error}") from None
