"""Where the processes run that hold a task's connections: on this machine, or on the workers of a Dask cluster."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class DaskCluster:
    """A Dask cluster: the address of its scheduler, and the files for TLS, "" for what Dask's configuration says."""

    scheduler: str
    ca: str = ""
    certificate: str = ""
    key: str = ""


@dataclass(frozen=True)
class Executor:
    """How many processes hold connections, 0 for auto, and the Dask cluster that they run on, None for this machine."""

    workers: int = 0
    dask: DaskCluster | None = None

    def to_word(self) -> str:
        """Return it as an argument of a command line; ``from_word`` reverses it."""
        return json.dumps(asdict(self))


def from_word(word: str) -> Executor:
    """Return what ``Executor.to_word`` wrote."""
    found = json.loads(word)
    return Executor(found["workers"], DaskCluster(**found["dask"]) if found["dask"] else None)
