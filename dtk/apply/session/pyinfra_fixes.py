"""Workarounds for bugs of pyinfra 3.10, needed until the oldest supported pyinfra has fixes for them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyinfra.facts import files

_ESCAPED = re.compile(r"\\(?P<hash>[0-9a-fA-F]{32,96})\s")


def apply_fixes() -> None:
    """Patch the loaded pyinfra; calling it again has no effect.

    GNU's checksum programs print a backslash before a line whose file name contains one (systemd units such as
    ``mnt-data\\x2dbig.mount``). pyinfra then considered the file missing and uploaded it each time:
    https://github.com/pyinfra-dev/pyinfra/issues/1911, fixed by pull request 1912, which is in no release yet.
    """
    if files.HashFileFactBase.process is not _process:
        _originals.append(files.HashFileFactBase.process)
        files.HashFileFactBase.process = _process  # type: ignore[method-assign]


_originals: list[object] = []


def _process(self: files.HashFileFactBase, output: Sequence[str]) -> str | None:
    escaped = _ESCAPED.match(output[0])
    # The program was run for this one file, so the name need not be compared.
    return escaped["hash"] if escaped else _originals[0](self, output)  # type: ignore[operator]
