"""The rules of a service's group that let SSH in: one for each machine that dtk runs on, which names its owner.

A machine replaces its own rule alone: somebody who logs in from elsewhere shuts nobody out. What others left behind
goes after a day, taken away by a task, which holds the service's lock.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dtk.errors import DtkError
from dtk.model.ssh_address import SSH_PORT
from dtk.nodes.ec2.address import own_network
from dtk.nodes.ec2.answers import SecurityGroup
from dtk.nodes.ec2.aws import Aws
from dtk.nodes.ec2.firewall import change_rules, described_rules, rules_of
from dtk.nodes.ec2.settings import Ec2Settings
from dtk.nodes.provider import FirewallUpdate, OpenPort

SSH_RULE = "SSH from where dtk runs"
KEPT = timedelta(days=1)
"""How long a rule stays that its owner no longer uses."""
_RENEWED = KEPT / 2
_OWNED = re.compile(re.escape(SSH_RULE) + r": (?P<owner>\S+) (?P<since>\S+)")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._:/()#,@\[\]+=&;{}!$*-]")
"""What AWS takes in no rule's description."""
_LONGEST_OWNER = 120


@dataclass(frozen=True)
class SshRule:
    """A rule that dtk made; one of the target's ``ssh_from``, or of a dtk of before, has no owner."""

    port: OpenPort
    description: str
    owner: str = ""
    since: datetime | None = None

    def is_older_than(self, age: timedelta) -> bool:
        """Say whether it was made longer ago, or nobody knows when."""
        return self.since is None or datetime.now(UTC) - self.since > age


def allow_ssh(aws: Aws, settings: Ec2Settings, group: SecurityGroup, towards: str, *, locked: bool) -> FirewallUpdate:
    """Let SSH in from where the target says, else from this machine, and no longer from where it was before.

    Args:
        aws: where the group is.
        settings: the target's.
        group: the group as EC2 describes it.
        towards: a private address there, for targets whose nodes are reached by theirs.
        locked: whether the service is locked: only then rules of others are taken away.

    Raises:
        DtkError: this machine's address is not known, and SSH is not open to anybody yet.
    """
    if settings.is_reached_from_inside:
        return FirewallUpdate()
    rules = list(ssh_rules(group))
    try:
        sources = settings.ssh_from or (own_network(settings, towards),)
    except DtkError:
        if rules:
            return FirewallUpdate()
        raise
    own = "" if settings.ssh_from else owner()
    wanted = {OpenPort(SSH_PORT, source) for source in sources}
    stale = [rule for rule in rules if _is_stale(rule, own, wanted, locked=locked)]
    kept = rules_of(group) - {rule.port for rule in stale}
    since = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    description = f"{SSH_RULE}: {own} {since}" if own else SSH_RULE
    change_rules(
        aws, group, [(rule.port, rule.description) for rule in stale], [(p, description) for p in wanted - kept]
    )
    return FirewallUpdate(
        tuple(sorted(wanted - rules_of(group))), tuple(sorted({rule.port for rule in stale} - wanted))
    )


def _is_stale(rule: SshRule, own: str, wanted: set[OpenPort], *, locked: bool) -> bool:
    if own and rule.owner == own:
        # Its own at this address is renewed now and then: others take it for left behind after a day.
        return rule.port not in wanted or rule.is_older_than(_RENEWED)
    return locked and rule.port not in wanted and (not own or rule.is_older_than(KEPT))


def ssh_rules(group: SecurityGroup) -> Iterator[SshRule]:
    """Yield the rules of a group that let SSH in and that dtk made."""
    for port, description in described_rules(group):
        if description.startswith(SSH_RULE):
            found = _OWNED.fullmatch(description)
            yield SshRule(port, description, found["owner"] if found else "", _time(found["since"]) if found else None)


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None


def owner() -> str:
    """Return who runs dtk and where, as a rule's description may have it: ``ada@laptop``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return _NOT_ALLOWED.sub("_", f"{user}@{socket.gethostname()}")[:_LONGEST_OWNER]
