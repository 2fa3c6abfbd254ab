"""The SSH rules of a service's security group: one for each machine that runs dtk, with its owner's name.

A machine replaces only its own rule, so that a login from one place locks nobody else out. Rules that others left
behind are removed after a day, by a task, because it holds the service's lock.
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
"""How long a rule that its owner no longer uses stays."""
_RENEWED = KEPT / 2
_OWNED = re.compile(re.escape(SSH_RULE) + r": (?P<owner>\S+) (?P<since>\S+)")
_NOT_ALLOWED = re.compile(r"[^A-Za-z0-9._:/()#,@\[\]+=&;{}!$*-]")
"""Characters that AWS does not allow in a rule's description."""
_LONGEST_OWNER = 120


@dataclass(frozen=True)
class SshRule:
    """A rule made by dtk; rules for the target's ``ssh_from``, or of an older dtk, have no owner."""

    port: OpenPort
    description: str
    owner: str = ""
    since: datetime | None = None

    def is_older_than(self, age: timedelta) -> bool:
        """Return whether it is older than ``age``, or its age is unknown."""
        return self.since is None or datetime.now(UTC) - self.since > age


def allow_ssh(aws: Aws, settings: Ec2Settings, group: SecurityGroup, towards: str, *, locked: bool) -> FirewallUpdate:
    """Allow SSH from the target's ``ssh_from``, or else from this machine, and no longer from its former address.

    Args:
        aws: the AWS services.
        settings: the target's settings.
        group: the group as EC2 describes it.
        towards: a private address of a node, for targets that use private addresses.
        locked: whether the service's lock is held: only then are rules of others removed.

    Raises:
        DtkError: this machine's address is not known, and no SSH rule exists yet.
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
        # A machine renews its own rule from time to time: others consider it abandoned after a day.
        return rule.port not in wanted or rule.is_older_than(_RENEWED)
    return locked and rule.port not in wanted and (not own or rule.is_older_than(KEPT))


def ssh_rules(group: SecurityGroup) -> Iterator[SshRule]:
    """Yield the SSH rules of a group that dtk made."""
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
    """Return the user and host that run dtk, with characters allowed in a rule's description: ``ada@laptop``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return _NOT_ALLOWED.sub("_", f"{user}@{socket.gethostname()}")[:_LONGEST_OWNER]
