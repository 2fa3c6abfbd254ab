"""The mark that a service leaves on a host: a file that names its owner to every clone and every workspace.

It is in the home of the login user. Its name contains the host's name, since homes may be shared. It is created by a
hard link, so that only one of two services that claim the host at the same time succeeds.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from shlex import quote

from dtk import __version__
from dtk.model.settings import as_mapping, text
from dtk.nodes.provider import ServiceIdentity

FORMAT_VERSION = 1
_FILE = 'f="$HOME/.dtk/host-$(uname -n).json"\n'
READ = _FILE + 'cat "$f" 2>/dev/null || true\n'
"""The script that prints a host's mark, or nothing if there is none."""


@dataclass(frozen=True)
class Mark:
    """The owner of a host (workspace, service, node), with time (UTC, RFC 3339), dtk version and first state."""

    workspace: str
    service: str
    lineage: str
    node: str
    dtk_version: str
    since: str
    origin: str = ""

    def is_of(self, identity: ServiceIdentity) -> bool:
        """Return whether the mark is the service's: by its id, or else by its name in its workspace."""
        if self.lineage == identity.lineage:
            return True
        return self.service == identity.service and identity.workspace in ("", self.workspace)


def read_mark(printed: str) -> Mark | None:
    """Return the mark that a host printed, or None if it is missing or unreadable."""
    try:
        given = as_mapping(json.loads(printed))
        names = ("workspace", "service", "lineage", "node", "dtk_version", "since", "origin")
        return Mark(*(text(given, name) for name in names)) if given else None
    except (ValueError, TypeError):
        return None


def claim_script(identity: ServiceIdentity, node: str) -> str:
    """Return the script that marks a host unless it is marked already, and prints its mark."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    mark = Mark(identity.workspace, identity.service, identity.lineage, node, __version__, now, identity.origin)
    line = quote(json.dumps({"format_version": FORMAT_VERSION, **asdict(mark)}))
    return (
        f"set -e\numask 077\n{_FILE}"
        'mkdir -p "$HOME/.dtk"\n'
        f"printf '%s\\n' {line} > \"$f.$$\"\n"
        'ln "$f.$$" "$f" 2>/dev/null || true\nrm -f "$f.$$"\ncat "$f"\n'
    )


def unclaim_script(identity: ServiceIdentity) -> str:
    """Return the script that removes a service's mark from a host; a mark of another service stays."""
    return f'{_FILE}if grep -q -F {quote(identity.lineage)} "$f" 2>/dev/null; then rm -f "$f"; fi\n'
