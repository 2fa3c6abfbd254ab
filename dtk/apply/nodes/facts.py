"""What a machine says of itself at first contact: what links and templates may know of a node beside its address."""

from __future__ import annotations

from collections.abc import Mapping

from dtk.apply.session.node_session import NodeSession, Prepared
from dtk.errors import DtkError

SCRIPT = rb"""
echo "home=$HOME"
echo "user=$(id -un)"
if [ -r /etc/os-release ]; then . /etc/os-release && echo "os=$ID${VERSION_ID:+-$VERSION_ID}"
else echo "os=$(uname -s | tr A-Z a-z)"; fi
echo "python=$(command -v python3)"
[ ! -d /run/systemd/system ] || echo has_systemd=true
"""
FACTS = ("home", "user", "os", "python", "has_systemd")


def are_known(attributes: Mapping[str, object]) -> bool:
    """Say whether a target knows all of it by itself, as it does of its own processes on this machine."""
    return all(name in attributes for name in FACTS)


def node_facts(session: NodeSession, known: dict[str, object]) -> dict[str, object]:
    """Return a node's attributes, with those that its target does not know asked of the machine itself.

    Args:
        session: the node's session, connected.
        known: the attributes that its target gave.

    Raises:
        DtkError: the node has no working shell.
    """
    if are_known(known):
        return known
    mark = session.next_mark(as_root=False)
    answer = session.ask(Prepared.script("what the machine says of itself", SCRIPT, mark), mark)
    if answer.code != 0:
        raise DtkError(f"{session.node} has no working shell: " + " ".join((*answer.stdout, *answer.stderr)[-3:]))
    return read_facts("\n".join(answer.stdout), known)


def read_facts(printed: str, known: Mapping[str, object]) -> dict[str, object]:
    """Return a node's attributes with what its machine printed for ``SCRIPT``; what its target knows wins."""
    answers = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    return {**answers, "has_systemd": "has_systemd" in answers, **known}
