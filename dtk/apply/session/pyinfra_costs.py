"""Removes work that pyinfra repeats for each host and operation although its result never changes."""

from __future__ import annotations

from functools import cache

from pyinfra.api import arguments, facts, inventory
from pyinfra.connectors.base import BaseConnector


def connect_with(connector: type[BaseConnector]) -> None:
    """Make a connector pyinfra's only one, under the name of its default; calling it again has no effect.

    For each host of an inventory that names a connector, pyinfra looks for connectors in the metadata of all installed
    packages, and it loads each that it finds.
    """
    connectors = {"ssh": connector}
    vars(inventory)["get_all_connectors"] = vars(inventory)["get_execution_connectors"] = lambda: connectors


def read_argument_types_once() -> None:
    """Evaluate the types of pyinfra's global arguments once and not for each operation and fact on each host.

    Calling it again has no effect.
    """
    if not hasattr(arguments.all_global_arguments, "cache_info"):
        once = cache(arguments.all_global_arguments)
        vars(arguments)["all_global_arguments"] = vars(facts)["all_global_arguments"] = once
