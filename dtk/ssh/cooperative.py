"""Makes the standard library cooperative, for processes that hold connections: one that waits lets the others go on."""

from __future__ import annotations

import gc
import sys
from importlib import import_module

from gevent import events, monkey

_OBJECTS_BETWEEN_COLLECTIONS = 20_000
"""With Python's own 700, it collects 140 times during a worker's imports: they leave 56,000 objects and no garbage."""


def patch_standard_library() -> None:
    """Patch the standard library as gevent does, without its plugins, and collect garbage less often.

    Call it before anything opens a socket, starts a thread or waits; otherwise nodes are worked on one by one (pyinfra
    does not patch).
    """
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    # For plugins, of which dtk wants none, gevent reads the metadata of all installed packages for each patched module.
    events.notify_and_call_entry_points = _nobody_is_told
    monkey.patch_all()
    _load_paramiko_without_invoke()


def _load_paramiko_without_invoke() -> None:
    """Load paramiko without a library that is a sixth of a worker's imports.

    It is for ``Match exec`` in ~/.ssh/config alone, whose commands dtk runs itself (``dtk.nodes.ssh_config``).
    """
    if "invoke" not in sys.modules:
        sys.modules["invoke"] = None  # type: ignore[assignment] # Python then says that there is none
        try:
            import_module("paramiko")
        finally:
            del sys.modules["invoke"]


def _nobody_is_told(event: object) -> None:
    pass
