"""Faults of pyinfra 3.10 that dtk works around until the oldest pyinfra it accepts is without them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pyinfra.facts import files

_ESCAPED = re.compile(r"\\(?P<hash>[0-9a-fA-F]{32,96})\s")


def apply_fixes() -> None:
    """Mend the running pyinfra; a second time nothing is done.

    GNU's checksum programs put a backslash in front of a line whose file name holds one (systemd's units:
    ``mnt-data\\x2dbig.mount``). pyinfra took that for a file that is not there, and put it there each time:
    https://github.com/pyinfra-dev/pyinfra/issues/1911, fixed by pull request 1912, which is in no release yet.
    """
    if files.HashFileFactBase.process is not _process:
        _originals.append(files.HashFileFactBase.process)
        files.HashFileFactBase.process = _process  # type: ignore[method-assign]


_originals: list[object] = []


def _process(self: files.HashFileFactBase, output: Sequence[str]) -> str | None:
    escaped = _ESCAPED.match(output[0])
    # The program was asked about this one file, so that the name need not be compared.
    return escaped["hash"] if escaped else _originals[0](self, output)  # type: ignore[operator]
