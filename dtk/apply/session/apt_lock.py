"""Apt's locks: automatic updates hold them, for minutes during a first boot, and apt by default fails at once."""

from __future__ import annotations

from pyinfra.api.command import StringCommand
from pyinfra.facts.apt import noninteractive_apt
from pyinfra.operations import apt

LOCK_SECONDS = 300
"""How long an apt command of a task waits for another one to end, in seconds."""

# /proc/locks lists the file of every lock, so that neither root's rights nor a program like fuser is needed.
WAIT_FOR_LOCKS = r"""
packages_are_locked() {
    inodes=$(stat -c ':%i ' /var/lib/dpkg/lock-frontend /var/lib/dpkg/lock /var/lib/apt/lists/lock \
        /var/cache/apt/archives/lock 2>/dev/null)
    [ -n "$inodes" ] && grep -qF "$inodes" /proc/locks 2>/dev/null && return 0
    case $(systemctl is-active apt-daily.service apt-daily-upgrade.service 2>/dev/null) in
        *activating*) return 0 ;;
    esac
    return 1
}
wait_for_locks() {
    waited=0
    while packages_are_locked; do
        [ "$waited" -lt "$1" ] || return 1
        sleep 1
        waited=$((waited + 1))
    done
}
"""
"""Defines ``wait_for_locks SECONDS``, which fails if the packages are still locked after that time."""

_UPDATE = "apt-get update"


def patient(command: StringCommand) -> StringCommand:
    """Return a pyinfra command, with a wait for the lock if it updates the package lists: there apt has no timeout."""
    if str(command) != _UPDATE:
        return command
    return StringCommand(f"{WAIT_FOR_LOCKS.strip()}\nwait_for_locks {LOCK_SECONDS}; {_UPDATE}")


def make_apt_wait() -> None:
    """Add a lock timeout to every apt command of pyinfra's operations; calling it again has no effect."""
    vars(apt)["noninteractive_apt"] = _noninteractive_apt


def _noninteractive_apt(command: str, force: bool = False) -> str:
    return str(noninteractive_apt(f"-o DPkg::Lock::Timeout={LOCK_SECONDS} {command}", force=force))
