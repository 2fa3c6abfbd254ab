"""The layout of a store: the only module that builds its keys."""

from __future__ import annotations

from dataclasses import dataclass

STORE_FILE = "store.json"
SERVICES = "services/"
_SEGMENT_DIGITS = 8


@dataclass(frozen=True)
class ServiceKeys:
    """The keys of one service, relative to the root of the store, which ``Objects`` knows."""

    service: str

    @property
    def folder(self) -> str:
        """The prefix of the keys of the service's state and tasks."""
        return f"{SERVICES}{self.service}/"

    @property
    def head(self) -> str:
        """The key of the head, the only mutable object."""
        return f"{self.folder}head.json"

    @property
    def states(self) -> str:
        """The prefix of the keys of committed states."""
        return f"{self.folder}states/"

    @property
    def private_key(self) -> str:
        """The key of the service's private key; reading state and logs does not need permission to read it."""
        return f"access/{self.service}/id_ed25519"

    def state(self, serial: int, epoch: int) -> str:
        """Return the key of a committed state."""
        return f"{self.states}{serial:08d}-{epoch:06d}.json"

    def task(self, number: int) -> str:
        """Return the prefix of a task's keys."""
        return f"{self.folder}tasks/{number}/"

    def plan(self, number: int) -> str:
        """Return the key of a task's plan."""
        return f"{self.task(number)}plan.json"

    def whole_log(self, number: int) -> str:
        """Return the key of the complete log of a finished task."""
        return f"{self.task(number)}events.jsonl"

    def segments(self, task: int) -> str:
        """Return the prefix of the keys of a task's log segments."""
        return f"{self.task(task)}events/"

    def segment(self, task: int, number: int) -> str:
        """Return the key of a segment of a task's log; segments are numbered from 1 without gaps."""
        return f"{self.segments(task)}{number:0{_SEGMENT_DIGITS}d}.jsonl"

    def cancel(self, task: int, epoch: int) -> str:
        """Return the key of the request to cancel a task."""
        return f"{self.task(task)}cancel-{epoch}.json"


def segment_number(key: str) -> int:
    """Return the number in a segment's key, or 0 if the key is not a segment's."""
    name = key.rpartition("/")[2].removesuffix(".jsonl")
    return int(name) if name.isdigit() else 0


def saved_plan(digest: str) -> str:
    """Return the key of a plan saved by its digest (``sha256:…``) for a later apply."""
    return f"plans/{digest.removeprefix('sha256:')}.json"
