"""Runs a pyinfra deploy of a module: a function in one of its files, called with attributes as arguments."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from gevent.lock import RLock
from pyinfra.api.exceptions import PyinfraError
from pyinfra.context import ctx_host

from dtk.apply.items.action_run import Work
from dtk.apply.reporting.failure import ActionError
from dtk.dsl.check.deploy_function import NODE_ARGUMENT
from dtk.model.json_data import JsonObject, ReadOnlyObject
from dtk.model.planned_action import PlannedDeploy

_LOADING = RLock()
"""A file may wait for something while it is loaded; meanwhile another node must not use half of it."""


def run_deploy(work: Work, item: PlannedDeploy, file: Path) -> bool:
    """Run a deploy: each operation runs at the moment the function calls it.

    Args:
        work: the action and its node.
        item: the plan's ``deploy`` item: ``name`` is ``path/to/file.py:function``.
        file: this machine's copy of the file.

    Returns:
        Whether any of its operations ran a command.

    Raises:
        ActionError: the file or the function can't be used, or the function raised an exception.
        PyinfraError: one of its operations failed; the session's record says which.
    """
    function = _function(file, item.name.rpartition(":")[2], work.name)
    values = work.values.variables
    given = {name: values[name] for name in (*item.parameters, NODE_ARGUMENT) if name in values}
    ctx_host.set(work.host)
    try:
        function(**_taken(function, given), **work.defaults)
    except (PyinfraError, ActionError):
        raise
    except Exception as error:  # the module's author wrote the function: any exception is a failure of the action
        raise ActionError(f"{work.name}: {item.name}: {type(error).__name__}: {error}") from error
    finally:
        ctx_host.reset()
    return bool(work.session.record.command)


def _function(file: Path, name: str, action: str) -> Callable[..., object]:
    module = f"dtk_deploy_{hashlib.sha256(str(file).encode()).hexdigest()[:16]}"
    try:
        with _LOADING:
            if module not in sys.modules:
                _load(module, file)
            return getattr(sys.modules[module], name)  # type: ignore[no-any-return]
    except Exception as error:  # loading runs the code of the module's author
        sys.modules.pop(module, None)
        raise ActionError(f"{action}: {file.name}:{name} can't be loaded: {type(error).__name__}: {error}") from error


def _load(name: str, file: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not a Python file")
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def _taken(function: Callable[..., object], given: ReadOnlyObject) -> JsonObject:
    """Return the given values that the function has parameters for; all of them if it has ``**kwargs``."""
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return dict(given)
    names = {parameter.name for parameter in parameters}
    return {name: value for name, value in given.items() if name in names}
