"""The head of a service in the store: who holds it, and which state is its own; the one object that changes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import Any

from dtk.errors import NewerFormatError
from dtk.store.errors import DamagedError

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Lease:
    """Who holds a service. ``nonce`` is of this holder alone; ``beat`` grows with each of its writes of the head.

    ``seconds`` is for how long it holds without a beat; ``task`` is 0 before it has one; ``job_url`` is a CI job's.
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
    """The body of the committed state: its key, and the digest of its bytes in hex."""

    key: str
    sha256: str


@dataclass(frozen=True)
class Head:
    """A service as the store has it. ``epoch`` counts holders, ``serial`` is that of the committed state.

    ``destroyed`` marks a service that is gone: its lineage has ended, its logs stay.
    """

    lineage: str
    serial: int = 0
    epoch: int = 1
    state: StatePointer | None = None
    last_task: int = 0
    destroyed: bool = False
    lease: Lease | None = None

    def held_by(self, nonce: str) -> bool:
        """Say whether the holder with this nonce has the service."""
        return self.lease is not None and self.lease.nonce == nonce


def with_beat(head: Head) -> Head:
    """Return the head with its lease's next beat: no content of a head ever comes back, and so no etag does."""
    return replace(head, lease=replace(head.lease, beat=head.lease.beat + 1)) if head.lease else head


def encode(head: Head) -> bytes:
    """Return a head as its object; its shape is schemas/head.schema.json."""
    return json.dumps({"format_version": FORMAT_VERSION, **asdict(head)}, ensure_ascii=False).encode()


def decode(data: bytes, source: str) -> Head:
    """Return the head that an object holds.

    Raises:
        DtkError: a newer dtk wrote it.
        DamagedError: it is not a head.
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
