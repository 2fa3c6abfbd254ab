"""A machine's first boot: cloud-init may still install packages or run user data when SSH answers already."""

from __future__ import annotations

import gevent

from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.node_session import NodeSession, Prepared
from dtk.errors import DtkError

LONGEST = 1800
"""Seconds that a first boot may take from the first login on: user data may install a lot."""
_FAILED = 1
"""What cloud-init ends with when it failed; 2 says that it went on after a mistake it could live with."""
_WAIT = rb"""
command -v cloud-init >/dev/null 2>&1 || exit 0
cloud-init status --wait >/dev/null 2>&1 || code=$?
[ "${code:-0}" != 1 ] || cloud-init status --long
exit "${code:-0}"
"""


def await_first_boot(session: NodeSession, reporter: StepReporter, *, has_user_data: bool) -> None:
    """Wait until cloud-init, where a machine has it, is done: what it installs holds the packages' lock.

    Args:
        session: the node's session, connected.
        reporter: told that it is waited for, and of an image's own mistakes.
        has_user_data: the node was given some, so that a failure may be that of its user's words.

    Raises:
        DtkError: it failed on a node with user data, or took too long.
    """
    node = session.node
    reporter.waiting(f"waiting for cloud-init on {node}")
    mark = session.next_mark(as_root=False)
    late = DtkError(f"cloud-init on {node} did not finish within {LONGEST} s", hint=_hint(node))
    with gevent.Timeout(LONGEST, late):
        answer = session.ask(Prepared.script("cloud-init status", _WAIT, mark), mark)
    printed = "; ".join(line.strip() for line in (*answer.stdout, *answer.stderr) if line.strip())
    if answer.code != _FAILED:
        return
    if has_user_data:
        raise DtkError(f"cloud-init failed on {node}: {printed}", hint=_hint(node))
    reporter.output("stderr", f"cloud-init failed: {printed}")


def _hint(node: str) -> str:
    return f"see /var/log/cloud-init-output.log on {node}; after a successful boot, continue with --resume"
