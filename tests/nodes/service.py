"""A service with local nodes, driven as the executor does. It records what the provider reports."""

from __future__ import annotations

import uuid

from dtk.errors import DtkError
from dtk.nodes.local.machine import erase, machine_of
from dtk.nodes.local.processes import end
from dtk.nodes.local.provider import LocalProvider
from dtk.nodes.local.registry import read_allocations
from dtk.nodes.provider import NodeRecord, NodeRequest, ServiceIdentity
from dtk.nodes.registry import node_key
from dtk.state.workspace import Workspace


class Service:
    """A service of a workspace, with everything that its provider reported."""

    def __init__(self, workspace: Workspace, name: str = "dask1", *, shared_address: bool = False) -> None:
        self.workspace = workspace
        self.identity = ServiceIdentity(name, str(uuid.uuid4()), workspace.service_folder(name))
        self.provider = LocalProvider(workspace, shared_address=shared_address)
        self.reported: dict[str, NodeRecord | DtkError] = {}

    def report(self, node: str, result: NodeRecord | DtkError) -> None:
        self.reported[node] = result

    def create(self, *nodes: str) -> list[NodeRecord]:
        self.provider.create(self.identity, [NodeRequest(node) for node in nodes], self.report)
        return [self.record(node) for node in nodes]

    def record(self, node: str) -> NodeRecord:
        result = self.reported[node]
        assert isinstance(result, NodeRecord), result
        return result

    def marker(self, node: str) -> str:
        return node_key(self.identity, node)

    def status(self, *records: NodeRecord) -> list[str]:
        return [record.status for record in self.provider.describe(self.identity, records)]

    def stop(self, *records: NodeRecord) -> None:
        self.provider.stop(self.identity, records, self.report)

    def start(self, *records: NodeRecord) -> list[NodeRecord]:
        self.provider.start(self.identity, records, self.report)
        return [self.record(record.node) for record in records]

    def terminate(self, *records: NodeRecord) -> None:
        self.provider.terminate(self.identity, records, self.report)

    def clean_up(self) -> None:
        for key, allocation in read_allocations(self.workspace).items():
            lineage, _, node = key.partition("/")
            if lineage == self.identity.lineage:
                end({key})
                erase(machine_of(self.identity, node, allocation))
