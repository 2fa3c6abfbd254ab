"""The user of local nodes (dtk's own user, or nobody if that is root), and a Python that this user can run."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

from dtk.errors import DtkError
from dtk.nodes.local.environment import PATH

_UNPRIVILEGED_USER = "nobody"
_CHECK = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
_CHECK_SECONDS = 30
_VERSIONS = ("", "3.14", "3.13", "3.12", "3.11")


def node_user() -> pwd.struct_passwd:
    """Return the user for new nodes; never root.

    Raises:
        DtkError: dtk runs as root, and there is no unprivileged user.
    """
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam(_UNPRIVILEGED_USER)
    except KeyError:
        raise DtkError(
            f"dtk is run by root, and this system has no user '{_UNPRIVILEGED_USER}' for local nodes",
            hint="run dtk as another user",
        ) from None


def find_python(user: pwd.struct_passwd) -> str:
    """Return the path of a Python, 3.11 or newer with support for virtual environments, that the user can run.

    Raises:
        DtkError: there is none.
    """
    # Prefer dtk's own base Python: a virtual environment's may be removed, and root's may be unreadable for others.
    own = str(getattr(sys, "_base_executable", sys.executable))
    for candidate in (own, *_system_pythons()):
        if _is_usable(candidate, user):
            return candidate
    raise DtkError(
        f"user '{user.pw_name}', which local nodes run as, has no Python 3.11 or newer with venv and ensurepip",
        hint="install one for the whole system (Debian, Ubuntu: apt-get install python3 python3-venv)",
    )


def _system_pythons() -> list[str]:
    paths = [Path(folder) / f"python3{version and version[1:]}" for version in _VERSIONS for folder in PATH.split(":")]
    return [str(path) for path in paths if path.is_file()]


def _is_usable(python: str, user: pwd.struct_passwd) -> bool:
    is_root = os.geteuid() == 0
    try:
        answer = subprocess.run(
            [python, "-I", "-c", _CHECK],
            env={"PATH": PATH},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_CHECK_SECONDS,
            check=False,
            user=user.pw_uid if is_root else None,
            group=user.pw_gid if is_root else None,
            extra_groups=[] if is_root else None,
        )
    except (FileNotFoundError, PermissionError, subprocess.SubprocessError):
        return False
    return answer.returncode == 0
