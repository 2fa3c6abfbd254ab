"""Facts that a machine reports at first contact: node attributes for links and templates, besides its address."""

from __future__ import annotations

from collections.abc import Mapping

from dtk.apply.session.node_session import CommandAnswer, NodeSession, Prepared
from dtk.errors import DtkError

NEEDED = (
    *("cat", "chmod", "chown", "cp", "cut", "find", "grep", "head", "id", "ls", "mkdir", "mv", "rm", "sed", "sleep"),
    *("stat", "tail", "touch", "tr", "uname"),
)
"""Programs that dtk and pyinfra's file operations run on a node; a minimal Debian and a busybox have them."""

SCRIPT = b"""
for tool in @NEEDED@; do command -v $tool >/dev/null || echo "lacks=$tool"; done
echo "home=$HOME"
echo "user=$(id -un)"
if [ -r /etc/os-release ]; then . /etc/os-release && echo "os=$ID${VERSION_ID:+-$VERSION_ID}"
else echo "os=$(uname -s | tr A-Z a-z)"; fi
echo "python=$(command -v python3)"
[ ! -d /run/systemd/system ] || echo has_systemd=true
""".replace(b"@NEEDED@", " ".join(NEEDED).encode())
_INSTALL = "install the packages coreutils, findutils, grep and sed there"
_LACKS = "lacks="
FACTS = ("home", "user", "os", "python", "has_systemd")


def are_known(attributes: Mapping[str, object]) -> bool:
    """Return whether a target itself provides all facts, as it does for its own processes on this machine."""
    return all(name in attributes for name in FACTS)


def node_facts(session: NodeSession, known: dict[str, object]) -> dict[str, object]:
    """Return a node's attributes; those that the target does not provide are read from the machine.

    Args:
        session: the node's session, connected.
        known: the attributes that the target provides.

    Raises:
        DtkError: the node has no working shell, or lacks programs.
    """
    if are_known(known):
        return known
    mark = session.next_mark(as_root=False)
    answer = session.ask(Prepared.script("read the facts of the machine", SCRIPT, mark), mark)
    if answer.code != 0:
        raise no_shell(session.node, answer)
    return facts_in("\n".join(answer.stdout), session.node, known)


def no_shell(node: str, answer: CommandAnswer) -> DtkError:
    """Return the error for a node that did not run ``SCRIPT``."""
    return DtkError(f"{node} has no working shell: " + " ".join((*answer.stdout, *answer.stderr)[-3:]))


def facts_in(printed: str, node: str, known: Mapping[str, object]) -> dict[str, object]:
    """Return a node's attributes from the output of ``SCRIPT``, as ``node_facts`` does.

    Raises:
        DtkError: the node lacks programs.
    """
    check_programs(printed, node)
    return read_facts(printed, known)


def check_programs(printed: str, node: str) -> None:
    """Check that a machine has the programs that dtk needs, from the output of ``SCRIPT``.

    Raises:
        DtkError: programs are missing; the message names all of them.
    """
    lacking = [line.removeprefix(_LACKS) for line in printed.splitlines() if line.startswith(_LACKS)]
    if lacking:
        raise DtkError(f"{node} lacks programs that dtk needs: {', '.join(lacking)}", hint=_INSTALL)


def read_facts(printed: str, known: Mapping[str, object]) -> dict[str, object]:
    """Return a node's attributes from the output of ``SCRIPT``; attributes that the target provides take precedence."""
    lines = (line for line in printed.splitlines() if "=" in line and not line.startswith(_LACKS))
    answers = dict(line.split("=", 1) for line in lines)
    return {**answers, "has_systemd": "has_systemd" in answers, **known}
