"""The first boot of a machine: SSH may answer while cloud-init and automatic updates still run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote

import gevent

from dtk.apply.nodes.facts import SCRIPT, no_shell
from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.apt_lock import LOCK_SECONDS, WAIT_FOR_LOCKS
from dtk.apply.session.node_session import NodeSession, Prepared
from dtk.errors import DtkError

LONGEST = 1800
"""Time limit for a first boot in seconds, from the first login: user data may install a lot."""
UPDATES_SECONDS = 600
"""How long to wait for automatic updates, in seconds; after that, apt itself waits for them."""
_FAILED = 1
"""Exit code of cloud-init for a failure; 2 means that it continued after a recoverable error."""
_BOOTED = "booted"
_BUSY = "busy"
_FACTS = "facts:"
_CLAIMED = "claimed:"
_WAIT = f"""
if command -v cloud-init >/dev/null 2>&1; then
    cloud-init status --wait >/dev/null 2>&1 || code=$?
    [ "${{code:-0}}" != {_FAILED} ] || cloud-init status --long >&2
    echo {_BOOTED}
    cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null
fi
{WAIT_FOR_LOCKS}
wait_for_locks {UPDATES_SECONDS} || echo {_BUSY}
"""
# Every apt on a machine that dtk created waits for automatic updates, even if sudo drops its environment.
_APT_WAITS = f"""
if [ -d /etc/apt/apt.conf.d ]; then
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    echo 'DPkg::Lock::Timeout "{LOCK_SECONDS}";' | $as_root tee /etc/apt/apt.conf.d/80dtk-lock-timeout >/dev/null 2>&1
fi
"""


@dataclass(frozen=True)
class FirstBoot:
    """What a machine reports at the end of its first boot.

    ``host_keys`` are its public host keys (``ssh-ed25519 AAAA…``) if cloud-init ran, since it may have generated new
    ones; None if it did not run. ``facts`` is the output of ``dtk.apply.nodes.facts.SCRIPT``.
    """

    host_keys: frozenset[str] | None
    facts: str


@dataclass(frozen=True)
class MachineClaim:
    """The mark of a service on a machine that dtk did not create.

    ``script`` sets the mark if there is none, and prints the one that is there; ``id`` is a text that the service's own
    mark contains. ``check`` receives what was printed, and raises an error if the machine is another service's.
    """

    script: str
    id: str
    check: Callable[[str], None]


def await_first_boot(
    session: NodeSession, reporter: StepReporter, *, has_user_data: bool, claim: MachineClaim | None
) -> FirstBoot:
    """Wait until cloud-init and automatic updates, if the machine has them, are done: they hold the package lock.

    Args:
        session: the node's session, connected.
        reporter: receives the reason for waiting, and errors that come from the image.
        has_user_data: the node has user data, so that a failure may be a mistake of the user.
        claim: what marks the machine before anything else is done there; None if dtk created it, and may configure its
            apt to wait for the lock.

    Raises:
        DtkError: the machine is another service's, the node has no working shell, or cloud-init failed on a node with
            user data, or timed out.
    """
    node = session.node
    reporter.waiting(f"waiting for cloud-init and automatic updates on {node}")
    mark = session.next_mark(as_root=False)
    late = DtkError(f"cloud-init on {node} did not finish within {LONGEST} s", hint=_hint(node))
    # In one command: it saves round trips for each machine.
    facts = f"echo {_FACTS}\n(\n{SCRIPT.decode()})\n"
    script = _WAIT + ("" if claim else _APT_WAITS) + facts + 'exit "${code:-0}"\n'
    with gevent.Timeout(LONGEST, late):
        answer = session.ask(_prepared((_claiming(claim) if claim else "") + script, mark), mark)
        lines = answer.stdout
        if claim:
            claimed = lines.index(_CLAIMED) if _CLAIMED in lines else 0
            claim.check("\n".join(lines[:claimed]))
            lines = lines[claimed + 1 :]
        if claim and not lines:
            # It has a mark of this service with another id.
            answer = session.ask(_prepared(script, mark), mark)
            lines = answer.stdout
    if _FACTS not in lines:
        raise no_shell(node, answer)
    booted = lines.index(_FACTS)
    boot, printed_facts = lines[:booted], lines[booted + 1 :]
    if _BUSY in boot:
        reporter.output("stderr", f"automatic updates hold apt's lock after {UPDATES_SECONDS} s: apt waits for them")
    if answer.code == _FAILED:
        printed = "; ".join(line.strip() for line in answer.stderr if line.strip())
        if has_user_data:
            raise DtkError(f"cloud-init failed on {node}: {printed}", hint=_hint(node))
        reporter.output("stderr", f"cloud-init failed: {printed}")
    keys = frozenset(" ".join(line.split()[:2]) for line in boot)
    return FirstBoot(keys if _BOOTED in boot else None, "\n".join(printed_facts))


def _prepared(script: str, mark: str) -> Prepared:
    return Prepared.script("cloud-init status", script.encode(), mark)


def _claiming(claim: MachineClaim) -> str:
    """Return a script that claims a machine, and ends if the machine is not the service's: dtk does not wait for it."""
    return (
        f"dtk=$(\n{claim.script}\n)\nprintf '%s\\n{_CLAIMED}\\n' \"$dtk\"\n"
        f'case "$dtk" in *{quote(claim.id)}*) ;; *) exit ;; esac\n'
    )


def _hint(node: str) -> str:
    return f"see /var/log/cloud-init-output.log on {node}; after a successful boot, continue with --resume"
