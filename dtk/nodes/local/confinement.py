"""Drops privileges of a local node's server before it serves: neither it nor its children can ever become root."""

from __future__ import annotations

import ctypes
import os
import pwd
import signal
import sys

# linux/prctl.h
_SET_CHILD_SUBREAPER = 36
_SET_NO_NEW_PRIVS = 38
_CAP_AMBIENT = 47
_CAP_AMBIENT_CLEAR_ALL = 4


def adopt_orphans() -> None:
    """Become the parent of every orphaned process of the node (Linux only), so that none escapes."""
    if sys.platform == "linux":
        _prctl(_SET_CHILD_SUBREAPER, 1)


def give_up_privileges(user: str) -> None:
    """Switch to the node's user if this is root, and let no program gain privileges (setuid, file capabilities).

    On macOS a sandbox, added when the server is started, does the latter.

    Raises:
        OSError: the system refused; the server must not serve then.
    """
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(entry.pw_gid)
        os.setuid(entry.pw_uid)
    if sys.platform == "linux":
        _prctl(_SET_NO_NEW_PRIVS, 1)
        _prctl(_CAP_AMBIENT, _CAP_AMBIENT_CLEAR_ALL)
    if 0 in (os.getuid(), os.geteuid()):
        raise PermissionError("a local node must not run as root")


def forget_inherited_signals() -> None:
    """Reset signals to a fresh machine's defaults, whatever dtk was started by (nohup, a shell)."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(argument) for argument in (value, 0, 0, 0)]
    if library.prctl(ctypes.c_int(option), *arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")
