"""The connection that ``dtk ssh`` uses: as the target describes it now, with the firewall opened for this machine."""

from __future__ import annotations

from collections.abc import Callable

from dtk.dsl.service import load_service
from dtk.errors import DtkError, InvalidError
from dtk.nodes.provider import Connection, NodeRecord, Provider, ServiceIdentity
from dtk.nodes.reach import check_banner
from dtk.nodes.records import record_of
from dtk.nodes.remembered_keys import are_taken_over, state_keys
from dtk.nodes.targets import provider_for
from dtk.service.planning import find_target
from dtk.state.model import State
from dtk.state.workspace import Workspace

ANSWER_SECONDS = 5.0
"""Seconds without a response before dtk checks the firewall: a closed one drops packets silently."""


def ssh_connection(workspace: Workspace, state: State, node: str, warn: Callable[[str], None]) -> Connection:
    """Return how to connect to a node; open the firewall if it does not allow this machine's address.

    If the service's files are invalid, use the last known connection, because people log in to fix problems.

    Args:
        workspace: the workspace.
        state: the state of the service; it has the node.
        node: the name of the node.
        warn: called with messages for the person who connects.
    """
    try:
        target = find_target(workspace, load_service(workspace.service_file(state.service), workspace.root))
    except InvalidError as error:
        warn(f"Logging in as before: {error.message} (dtk validate)")
        return record_of(node, state.nodes[node]).connection
    provider = provider_for(target, workspace)
    known_hosts = workspace.known_hosts(state.service)
    keys = state_keys(provider, state)
    if not are_taken_over(known_hosts, keys):
        # Only the first login after other clones have created machines needs the SSH library.
        from dtk.refresh.known_hosts import pin_keys_of_state  # noqa: PLC0415

        pin_keys_of_state(known_hosts, keys)
    records = {name: record_of(name, known) for name, known in state.nodes.items()}
    connection = provider.connection_to(records[node])
    keeps_firewall = target.description.firewall_sources(target) is not None
    # Through a jump host, the firewall sees the jump host's address, and with a proxy command it may be any.
    is_direct = not (connection.jump or connection.proxy_command)
    if keeps_firewall and is_direct and not _answers(connection):
        identity = ServiceIdentity(state.service, state.lineage, workspace.service_folder(state.service))
        _open_firewall(provider, identity, list(records.values()), warn)
    return connection


def _answers(connection: Connection) -> bool:
    try:
        check_banner(connection.hostname, connection.port, ANSWER_SECONDS)
    except OSError:
        return False
    return True


def _open_firewall(
    provider: Provider, identity: ServiceIdentity, records: list[NodeRecord], warn: Callable[[str], None]
) -> None:
    try:
        changed = provider.update_firewall(identity, records, None)
    except DtkError as error:
        warn(f"The firewall was not changed: {error.message}")
        return
    for rule in changed.opened:
        warn(f"The firewall allows SSH from {rule.source} now.")
