"""Who had a task done: a person or a job, where, from which commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from dtk.model.json_data import Json, JsonObject

_SHORT_COMMIT = 8


@dataclass(frozen=True)
class Author:
    """Who it was; "" for what is not known. ``dirty``: files of the workspace differed from the commit."""

    user: str = ""
    host: str = ""
    commit: str = ""
    dirty: bool = False
    job_url: str = ""

    def document(self) -> JsonObject:
        """Return it as JSON data."""
        return asdict(self)

    @property
    def who(self) -> str:
        """The user and the host, ``ada@ci-7``."""
        return f"{self.user}@{self.host}" if self.user and self.host else self.user or self.host

    @property
    def source(self) -> str:
        """The commit, short, with a + where files differed from it."""
        return f"{self.commit[:_SHORT_COMMIT]}{'+' if self.dirty else ''}" if self.commit else ""


NOBODY = Author()


def author_of(value: Json | Mapping[str, object]) -> Author:
    """Return the author that a document names, as far as it does."""
    found = value if isinstance(value, Mapping) else {}

    def text(name: str) -> str:
        given = found.get(name)
        return given if isinstance(given, str) else ""

    return Author(text("user"), text("host"), text("commit"), found.get("dirty") is True, text("job_url"))
