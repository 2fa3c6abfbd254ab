"""Where everything stands in a store: the one place that spells its keys."""

from __future__ import annotations

from dataclasses import dataclass

STORE_FILE = "store.json"
SERVICES = "services/"
_SEGMENT_DIGITS = 8


@dataclass(frozen=True)
class ServiceKeys:
    """The keys of one service. They are relative: where the store itself begins is known to its ``Objects``."""

    service: str

    @property
    def folder(self) -> str:
        """What the keys of the service's state and tasks begin with."""
        return f"{SERVICES}{self.service}/"

    @property
    def head(self) -> str:
        """The one object that changes."""
        return f"{self.folder}head.json"

    @property
    def states(self) -> str:
        """What the keys of committed states begin with."""
        return f"{self.folder}states/"

    @property
    def private_key(self) -> str:
        """The service's private key; state and logs are readable without permission to read this."""
        return f"access/{self.service}/id_ed25519"

    def state(self, serial: int, epoch: int) -> str:
        """Return the key of a committed state."""
        return f"{self.states}{serial:08d}-{epoch:06d}.json"

    def task(self, number: int) -> str:
        """Return what the keys of a task begin with."""
        return f"{self.folder}tasks/{number}/"

    def plan(self, number: int) -> str:
        """Return the key of a task's plan."""
        return f"{self.task(number)}plan.json"

    def whole_log(self, number: int) -> str:
        """Return the key of a finished task's whole log."""
        return f"{self.task(number)}events.jsonl"

    def segments(self, task: int) -> str:
        """Return what the keys of a task's segments begin with."""
        return f"{self.task(task)}events/"

    def segment(self, task: int, number: int) -> str:
        """Return the key of a part of a task's log; parts count from 1 without gaps."""
        return f"{self.segments(task)}{number:0{_SEGMENT_DIGITS}d}.jsonl"

    def cancel(self, task: int, epoch: int) -> str:
        """Return the key of anybody's request to cancel a task."""
        return f"{self.task(task)}cancel-{epoch}.json"


def segment_number(key: str) -> int:
    """Return the number in a segment's key, 0 for a key that is not one."""
    name = key.rpartition("/")[2].removesuffix(".jsonl")
    return int(name) if name.isdigit() else 0


def saved_plan(digest: str) -> str:
    """Return the key of a plan saved for an apply elsewhere, by its digest (``sha256:…``)."""
    return f"plans/{digest.removeprefix('sha256:')}.json"
