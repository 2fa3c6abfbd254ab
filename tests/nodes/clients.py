"""Clients of a node: what the tests log in with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import asyncssh

from dtk.nodes.provider import NodeRecord

_Result = TypeVar("_Result")


def connect(record: NodeRecord, **options: Any) -> Any:
    """Return asyncssh's connection context to a node, with its host key checked."""
    connection = record.connection
    known = asyncssh.import_known_hosts(f"[{connection.hostname}]:{connection.port} {connection.host_key}\n")
    chosen = {
        "username": connection.user,
        "client_keys": [connection.key],
        "known_hosts": known,
        "agent_path": None,
        "config": None,
        **options,
    }
    return asyncssh.connect(connection.hostname, connection.port, **chosen)


def on_node(record: NodeRecord, work: Callable[[Any], Coroutine[Any, Any, _Result]]) -> _Result:
    """Do some asynchronous work with a connection to a node."""

    async def main() -> _Result:
        async with connect(record) as connection:
            return await work(connection)

    return asyncio.run(main())


def run(record: NodeRecord, command: str, **options: Any) -> asyncssh.SSHCompletedProcess:
    """Run one command on a node."""

    async def work(connection: asyncssh.SSHClientConnection) -> asyncssh.SSHCompletedProcess:
        return await connection.run(command, **options)

    return on_node(record, work)


def output(record: NodeRecord, command: str) -> str:
    """Return what a command that succeeds prints on a node, stripped."""
    result = run(record, command)
    assert result.exit_status == 0, result
    return str(result.stdout).strip()
