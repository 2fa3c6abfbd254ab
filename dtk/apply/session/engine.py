"""pyinfra as the executor uses it: one State per task, one host per node; an operation runs when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from pyinfra.api.config import Config
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State, StateStage
from pyinfra.context import ctx_host, ctx_state

from dtk.apply.reporting.failure import ActionError
from dtk.apply.session.apt_lock import make_apt_wait
from dtk.apply.session.connector import SESSION, RecordingConnector, silence_pyinfra
from dtk.apply.session.node_session import NodeSession
from dtk.apply.session.pyinfra_costs import connect_with, read_argument_types_once
from dtk.apply.session.pyinfra_fixes import apply_fixes

# Their operations run on this machine, not on a node.
_LOCAL_MODULES = ("local", "python")

_UPGRADES = ("apt.upgrade", "apt.dist_upgrade")
"""Operations that pyinfra declares idempotent although they run a command each time."""


class Engine:
    """The pyinfra State of a task. Enter ``running`` once, around all greenlets that run operations."""

    def __init__(self, nodes: Iterable[str], is_secret: Callable[[str], bool]) -> None:
        silence_pyinfra()
        apply_fixes()
        make_apt_wait()
        connect_with(RecordingConnector)
        read_argument_types_once()
        names = list(nodes)
        config = Config(PARALLEL=max(len(names), 1))
        self._state = State(Inventory((names, {})), config, check_for_changes=False)
        self._state.set_stage(StateStage.Execute)
        self._state.is_executing = True
        # The connector uses this to distinguish facts from commands; it prints neither.
        self._state.print_fact_output = True
        self._is_secret = is_secret

    @contextmanager
    def running(self) -> Iterator[None]:
        """Make this State pyinfra's current one, for the whole process and not only for one greenlet."""
        ctx_state.set(self._state)
        try:
            yield
        finally:
            ctx_state.reset()

    def host(self, session: NodeSession) -> Host:
        """Return a node's host, ready to run operations over its session."""
        host = self._state.inventory.get_host(session.node)
        host.connector_data.update({SESSION: session, "dtk_is_secret": self._is_secret})
        host.connected = True
        # An operation that was interrupted leaves these set.
        host.in_op = False
        host.executing_op_hash = host.nested_executing_op_hash = None
        host.current_op_hash = host.current_op_global_arguments = host.current_op_deploy_data = None
        return host


def run_operation(host: Host, name: str, arguments: Mapping[str, Any]) -> bool:
    """Run a pyinfra operation on a host.

    Args:
        host: from ``Engine.host``.
        name: e.g. ``files.directory``.
        arguments: its own and pyinfra's global ones.

    Returns:
        Whether it changed anything.

    Raises:
        ActionError: it does not exist, or rejects these arguments.
        PyinfraError: one of its commands failed; the session's record says which.
    """
    operation = _find("operations", name)
    ctx_host.set(host)
    try:
        meta = operation(**arguments)
    except (TypeError, ValueError, AssertionError, OSError, NotImplementedError) as error:
        raise ActionError(f"{name}: {error}") from error
    except PyinfraError:
        _remove_temporaries(host)
        raise
    finally:
        ctx_host.reset()
    _remove_temporaries(host)
    return bool(meta.did_change())


def _remove_temporaries(host: Host) -> None:
    """Remove temporary files; not after a timeout or a cancel, where the running command must be ended first."""
    cast(RecordingConnector, host.connector).remove_temporaries()


def runs_each_time(name: str) -> bool:
    """Return whether an operation runs its commands whatever the node's state (as pyinfra declares it).

    Raises:
        ActionError: it does not exist.
    """
    return name in _UPGRADES or not _find("operations", name)._inner.is_idempotent


def get_fact(host: Host, name: str, arguments: Mapping[str, Any]) -> Any:
    """Return a pyinfra fact of a host, e.g. ``server.Kernel``.

    Raises:
        ActionError: it does not exist or can't be read.
    """
    fact: type[FactBase[Any]] = _find("facts", name)
    try:
        return host.get_fact(fact, **arguments)
    except (PyinfraError, TypeError, ValueError) as error:
        raise ActionError(f"the fact {name} can't be read: {error}") from error


def _find(kind: str, name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    if not module or module.partition(".")[0] in _LOCAL_MODULES:
        raise ActionError(f"'{name}' is not one of the {kind} that run on nodes")
    try:
        return getattr(importlib.import_module(f"pyinfra.{kind}.{module}"), attribute)
    except (ImportError, AttributeError):
        raise ActionError(f"pyinfra has no {kind.removesuffix('s')} '{name}'") from None
