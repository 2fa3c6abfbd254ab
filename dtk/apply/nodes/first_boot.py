"""A machine's first boot: cloud-init and automatic updates may still be at work when SSH answers already."""

from __future__ import annotations

from dataclasses import dataclass

import gevent

from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.apt_lock import LOCK_SECONDS, WAIT_FOR_LOCKS
from dtk.apply.session.node_session import NodeSession, Prepared
from dtk.errors import DtkError

LONGEST = 1800
"""Seconds that a first boot may take from the first login on: user data may install a lot."""
UPDATES_SECONDS = 600
"""How long automatic updates are waited for; after that apt itself waits for them."""
_FAILED = 1
"""What cloud-init ends with when it failed; 2 says that it went on after a mistake it could live with."""
_BOOTED = "booted"
_BUSY = "busy"
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
# Whatever calls apt on a machine that dtk made waits for automatic updates, also where sudo drops its environment.
_APT_WAITS = f"""
if [ -d /etc/apt/apt.conf.d ]; then
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    echo 'DPkg::Lock::Timeout "{LOCK_SECONDS}";' | $as_root tee /etc/apt/apt.conf.d/80dtk-lock-timeout >/dev/null 2>&1
fi
"""


@dataclass(frozen=True)
class FirstBoot:
    """What a machine says once its first boot is done.

    ``host_keys`` are its public host keys (``ssh-ed25519 AAAA…``) where cloud-init was at work, which may have made new
    ones; None where it was not.
    """

    host_keys: frozenset[str] | None


def await_first_boot(session: NodeSession, reporter: StepReporter, *, has_user_data: bool, is_made: bool) -> FirstBoot:
    """Wait until cloud-init and automatic updates, where a machine has them, are done: they hold the packages' lock.

    Args:
        session: the node's session, connected.
        reporter: told that it is waited for, and of an image's own mistakes.
        has_user_data: the node was given some, so that a failure may be that of its user's words.
        is_made: dtk made the machine, and may set there that apt waits for its lock.

    Raises:
        DtkError: cloud-init failed on a node with user data, or took too long.
    """
    node = session.node
    reporter.waiting(f"waiting for cloud-init and automatic updates on {node}")
    mark = session.next_mark(as_root=False)
    late = DtkError(f"cloud-init on {node} did not finish within {LONGEST} s", hint=_hint(node))
    script = _WAIT + (_APT_WAITS if is_made else "") + 'exit "${code:-0}"\n'
    with gevent.Timeout(LONGEST, late):
        answer = session.ask(Prepared.script("cloud-init status", script.encode(), mark), mark)
    if _BUSY in answer.stdout:
        reporter.output("stderr", f"automatic updates hold apt's lock after {UPDATES_SECONDS} s: apt waits for them")
    if answer.code == _FAILED:
        printed = "; ".join(line.strip() for line in answer.stderr if line.strip())
        if has_user_data:
            raise DtkError(f"cloud-init failed on {node}: {printed}", hint=_hint(node))
        reporter.output("stderr", f"cloud-init failed: {printed}")
    keys = frozenset(" ".join(line.split()[:2]) for line in answer.stdout)
    return FirstBoot(keys if _BOOTED in answer.stdout else None)


def _hint(node: str) -> str:
    return f"see /var/log/cloud-init-output.log on {node}; after a successful boot, continue with --resume"
