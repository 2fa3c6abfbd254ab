"""The process that runs a script on machines: ``python -m dtk.refresh.ask_worker``; JSON on stdin and stdout."""

from __future__ import annotations

from dtk.ssh.cooperative import patch_standard_library

patch_standard_library()  # before the other imports

import json  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import paramiko  # noqa: E402
from gevent.pool import Pool  # noqa: E402

from dtk.errors import DtkError  # noqa: E402
from dtk.nodes.provider import Connection  # noqa: E402
from dtk.nodes.reach import SILENT_SECONDS  # noqa: E402
from dtk.refresh.known_hosts import UnchangedKnownHosts  # noqa: E402
from dtk.ssh.connect import Patience, close_all, reach  # noqa: E402
from dtk.ssh.host_keys import KnownHosts, key_text  # noqa: E402
from dtk.ssh.passphrases import unlock  # noqa: E402

PATIENCE = Patience(overall=30.0, attempt=20.0, closed=2.0, silent=SILENT_SECONDS)
"""A machine that is busy answers late; one that is closed or silent is reported instead of waited for."""
AT_ONCE = 100
ANSWER_SECONDS = 20.0
MOST_BYTES = 65536


def main() -> int:
    """Run the request's script on all of its machines in parallel; print the output of each."""
    request = json.load(sys.stdin)
    unlock(request["passphrases"])
    script, known_hosts = request["script"], UnchangedKnownHosts(Path(request["known_hosts"]))
    pool = Pool(AT_ONCE)
    asked = {
        name: pool.spawn(ask, Connection(**connection), script, known_hosts.copy())
        for name, connection in request["connections"].items()
    }
    pool.join(raise_error=True)
    json.dump({name: one.value for name, one in asked.items()}, sys.stdout)
    return 0


def ask(connection: Connection, script: str, known_hosts: KnownHosts) -> dict[str, str]:
    """Return what the script printed on a machine, or why the machine could not be reached."""
    try:
        clients = reach(connection, known_hosts, PATIENCE, lambda _: None, is_new=False)
    except DtkError as error:
        return {"error": error.message, "hint": error.hint}
    try:
        stdin, stdout, _ = clients[-1].exec_command("sh -s", timeout=ANSWER_SECONDS)
        stdin.write(script)
        stdin.channel.shutdown_write()
        printed = stdout.read(MOST_BYTES).decode("utf-8", "replace")
        return {"printed": printed, "host_key": _host_key(clients[-1])}
    except (OSError, EOFError, paramiko.SSHException) as error:
        return {"error": f"could not connect to {connection.hostname}:{connection.port}: {error}"}
    finally:
        close_all(clients)


def _host_key(client: paramiko.SSHClient) -> str:
    transport = client.get_transport()
    return key_text(transport.get_remote_server_key()) if transport else ""


if __name__ == "__main__":
    sys.exit(main())
