"""A shard's own work, without nodes: what one connection does must not hold up the others."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from dtk.errors import DtkError
from dtk.model.executor import Executor
from dtk.nodes.provider import Connection
from dtk.ssh.connect import Patience
from dtk.ssh.host_keys import KnownHosts
from dtk.ssh.shards import connections
from dtk.ssh.shards.connections import ShardConnections

# In a process of its own, because a shard replaces what waits in Python's library. Arguments: the nodes, and how long
# to wait for them. The close of a waits for that of b; that of c never ends.
CLOSES = """\
import sys
from dtk.ssh.shards import process
import gevent
from gevent.event import Event
from dtk.ssh.shards.messages import End, Open

b_is_closed, never, opened = Event(), Event(), []
process.CLOSE_SECONDS = float(sys.argv[2])

class Connection:
    host_key = None
    def __init__(self, node, clients):
        self.node = node
    def await_loss(self):
        never.wait()
    def close(self):
        {"a": b_is_closed.wait, "b": b_is_closed.set, "c": never.wait}[self.node]()
        print(self.node, "is closed", flush=True)

class Wire:
    def send(self, message, payload=b""):
        opened.append(message)
    def received(self):
        for call, node in enumerate(sys.argv[1]):
            yield Open(call, node, None, None, False, "/nonexistent", [], []), b""
        while len(opened) < len(sys.argv[1]):
            gevent.sleep(0)
        for call in range(len(opened)):
            yield End(call), b""

process.reach = lambda *_, **__: []
process.SshConnection = Connection
shard = process.Shard(Wire())
shard.serve()
print("one is open" if shard.holds_connections else "all are closed")
"""


@pytest.mark.parametrize(
    ("nodes", "seconds", "shown"),
    [("ab", "100", "b is closed\na is closed\nall are closed\n"), ("c", "0.1", "one is open\n")],
)
def test_a_connection_that_does_not_close_holds_up_nothing(nodes: str, seconds: str, shown: str) -> None:
    words = [sys.executable, "-c", CLOSES, nodes, seconds]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
    assert done.stdout == shown, done.stderr


@pytest.mark.parametrize(("code", "limit"), [(errno.EMFILE, "ulimit -n"), (errno.EAGAIN, "ulimit -u")])
def test_a_process_that_cannot_be_started_names_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, limit: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, "refused")

    monkeypatch.setattr(connections, "ShardLink", refuse)
    with pytest.raises(DtkError, match="cannot start another process for the connection to a:1") as raised:
        ShardConnections(2, "test", Executor(2)).open(
            "a:1",
            Connection("localhost"),
            KnownHosts(tmp_path / "known_hosts"),
            Patience(),
            lambda _: None,
            is_new=False,
        )
    assert limit in str(raised.value.hint)
