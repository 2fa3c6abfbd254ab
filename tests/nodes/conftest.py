"""Fixtures for workspaces with real local nodes. Nodes that a test leaves behind are terminated afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dtk.nodes.provider import NodeRecord
from dtk.state.workspace import Workspace
from tests.nodes.service import Service


@pytest.fixture
def new_service(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def make(workspace: str = "workspace", name: str = "dask1", **how: Any) -> Service:
        root = tmp_path / workspace
        root.mkdir(exist_ok=True)
        services.append(Service(Workspace(root), name, **how))
        return services[-1]

    yield make
    for service in services:
        service.clean_up()


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    return new_service()


@pytest.fixture
def master(service: Service) -> NodeRecord:
    (record,) = service.create("master")
    return record
