"""Counts of what pyinfra repeats for each host and operation, and dtk's engine does not."""

from __future__ import annotations

from unittest.mock import Mock

import pytest
from pyinfra.api import arguments, connectors, facts

from dtk.apply.session.connector import RecordingConnector
from dtk.apply.session.engine import Engine
from dtk.apply.session.pyinfra_costs import read_argument_types_once


def test_the_metadata_of_installed_packages_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Mock(return_value=[])
    monkeypatch.setattr(connectors, "entry_points", read)
    engine = Engine(["slaves:1", "slaves:2"], lambda _: False)
    hosts = list(engine._state.inventory)
    assert [host.name for host in hosts] == ["slaves:1", "slaves:2"]
    assert all(host.connector_cls is RecordingConnector for host in hosts)
    read.assert_not_called()


def test_the_types_of_pyinfras_arguments_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Mock(return_value={"_sudo": bool})
    monkeypatch.setattr(arguments, "get_type_hints", read)
    original = getattr(arguments.all_global_arguments, "__wrapped__", arguments.all_global_arguments)
    for module in (arguments, facts):
        monkeypatch.setattr(module, "all_global_arguments", original)
    read_argument_types_once()
    read_argument_types_once()
    for module in (arguments, facts):
        assert vars(module)["all_global_arguments"]() == [("_sudo", bool)]
    read.assert_called_once()
