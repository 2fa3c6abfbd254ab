"""Who ran a task: a person or a CI job, on which host, from which commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from dtk.model.json_data import Json, JsonObject

_SHORT_COMMIT = 8


@dataclass(frozen=True)
class Author:
    """The author of a task; "" for unknown fields. ``dirty``: the workspace had uncommitted changes."""

    user: str = ""
    host: str = ""
    commit: str = ""
    dirty: bool = False
    job_url: str = ""

    def document(self) -> JsonObject:
        """Return the author as JSON data."""
        return asdict(self)

    @property
    def who(self) -> str:
        """User and host, ``ada@ci-7``."""
        return f"{self.user}@{self.host}" if self.user and self.host else self.user or self.host

    @property
    def source(self) -> str:
        """The short commit hash, with a + if the workspace had uncommitted changes."""
        return f"{self.commit[:_SHORT_COMMIT]}{'+' if self.dirty else ''}" if self.commit else ""


NOBODY = Author()


def author_of(value: Json | Mapping[str, object]) -> Author:
    """Return the author from a document; fields that it lacks are ""."""
    found = value if isinstance(value, Mapping) else {}

    def text(name: str) -> str:
        given = found.get(name)
        return given if isinstance(given, str) else ""

    return Author(text("user"), text("host"), text("commit"), found.get("dirty") is True, text("job_url"))
