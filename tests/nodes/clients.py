"""SSH clients that the tests use to log in to a node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import asyncssh

from dtk.nodes.provider import NodeRecord

_Result = TypeVar("_Result")


def connect(record: NodeRecord, **options: Any) -> Any:
    """Return an asyncssh connection context for a node, with host key verification."""
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
    """Run a coroutine function with a connection to a node and return its result."""

    async def main() -> _Result:
        async with connect(record) as connection:
            return await work(connection)

    return asyncio.run(main())


def run(record: NodeRecord, command: str, **options: Any) -> asyncssh.SSHCompletedProcess:
    """Run one command on a node and return the completed process."""

    async def work(connection: asyncssh.SSHClientConnection) -> asyncssh.SSHCompletedProcess:
        return await connection.run(command, **options)

    return on_node(record, work)


def output(record: NodeRecord, command: str) -> str:
    """Run a command on a node that must succeed. Return its output, stripped."""
    result = run(record, command)
    assert result.exit_status == 0, result
    return str(result.stdout).strip()
