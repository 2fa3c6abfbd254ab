"""The first boot of a machine: SSH may answer while cloud-init still installs packages or runs user data."""

from __future__ import annotations

import gevent

from dtk.apply.reporting.reporter import StepReporter
from dtk.apply.session.node_session import NodeSession, Prepared
from dtk.errors import DtkError

LONGEST = 1800
"""Time limit for a first boot in seconds, from the first login: user data may install a lot."""
_FAILED = 1
"""Exit code of cloud-init for a failure; 2 means that it continued after a recoverable error."""
_WAIT = rb"""
command -v cloud-init >/dev/null 2>&1 || exit 0
cloud-init status --wait >/dev/null 2>&1 || code=$?
[ "${code:-0}" != 1 ] || cloud-init status --long
exit "${code:-0}"
"""


def await_first_boot(session: NodeSession, reporter: StepReporter, *, has_user_data: bool) -> None:
    """Wait until cloud-init, if the machine has it, is done: while it installs packages, it holds the package lock.

    Args:
        session: the node's session, connected.
        reporter: receives the reason for waiting, and errors that come from the image.
        has_user_data: the node has user data, so that a failure may be a mistake of the user.

    Raises:
        DtkError: it failed on a node with user data, or timed out.
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
