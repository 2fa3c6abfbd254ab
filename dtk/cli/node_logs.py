"""The logs on a service's nodes, named by attributes of type log_file, and the commands that read them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from dtk.cli.logins import login_lines, nodes_meant
from dtk.cli.openssh import Prefixes, run_on_each
from dtk.cli.output import use_color
from dtk.errors import DtkError, UsageError
from dtk.model.names import ASSEMBLY_WIDE
from dtk.model.suggestion import did_you_mean
from dtk.model.value import Known
from dtk.plan.resolve.service import ResolvedService, resolve_service
from dtk.service.planning import read_inputs
from dtk.state.workspace import Workspace

LOG_FILE = "log_file"
# tail -F on the node would run forever after its reader has gone, because it writes nothing and is not notified. So a
# process on the node waits for the end of standard input and kills it.
_FOLLOWED = "exec 3<&0; {} & tail=$!; (cat <&3; kill $tail) >/dev/null 2>&1 & wait $tail"


def logs_of(workspace: Workspace, service: str, nodes: Sequence[str], log: str) -> dict[str, list[str]]:
    """Return the paths of logs by node.

    Args:
        workspace: the workspace.
        service: the name of the service.
        nodes: existing nodes.
        log: an attribute of type log_file, as ATTRIBUTE or COMPONENT/ATTRIBUTE; an absolute path on the node; "" for
            all such attributes.

    Raises:
        UsageError: no node has such a log.
    """
    if log.startswith("/"):
        return {node: [log] for node in nodes}
    found = resolve_service(read_inputs(workspace, service).request())
    known = {node: _logs_on(found, node) for node in nodes}
    chosen = {node: [path for name, path in logs.items() if _means(log, name)] for node, logs in known.items()}
    if not any(chosen.values()):
        names = list(dict.fromkeys(name for logs in known.values() for name in logs))
        there = (
            f"there are {', '.join(names)}" if names else f"name a file: dtk logs {service} {nodes[0]} /var/log/syslog"
        )
        message = (
            f"no log '{log}' on {', '.join(nodes)}" if log else "no component there has an attribute of type log_file"
        )
        raise UsageError(message, hint=did_you_mean(log, names, there))
    return {node: paths for node, paths in chosen.items() if paths}


def _means(log: str, name: str) -> bool:
    return log in ("", name, name.rpartition("/")[2])


def _logs_on(found: ResolvedService, node: str) -> dict[str, str]:
    """Return the known log paths of a node, by COMPONENT/ATTRIBUTE."""
    logs: dict[str, str] = {}
    for instance in found.topology.on_node(node) if node != ASSEMBLY_WIDE else ():
        for attribute in instance.component.attributes.values():
            value = found.values.of(instance, attribute.name) if attribute.type == LOG_FILE else None
            if isinstance(value, Known) and value.data and not attribute.hidden:
                logs[f"{instance.name}/{attribute.name}"] = str(value.data)
    return logs


def show_logs(workspace: Workspace, service: str, where: str, log: str, lines: int, *, follow: bool) -> int:
    """Print the ends of logs and, with ``follow``, what is added to them; return the exit code."""
    state, nodes = nodes_meant(workspace, service, where)
    logs = logs_of(workspace, service, nodes, log)
    commands = {node: _tail(paths, lines, follow=follow) for node, paths in logs.items()}
    return worst(run_commands(login_lines(workspace, state, list(logs)), commands, follows=follow))


def _tail(paths: Sequence[str], lines: int, *, follow: bool) -> str:
    command = shlex.join(["tail", "-n", str(lines), *(["-F"] if follow else []), "--", *paths])
    return _FOLLOWED.format(command) if follow else command


def search_logs(workspace: Workspace, service: str, where: str, log: str, pattern: str, *, first: bool) -> int:
    """Print the lines of logs that match a pattern; return 0 if there is a match, 1 if not, else grep's exit code."""
    state, nodes = nodes_meant(workspace, service, where)
    logs = logs_of(workspace, service, nodes, log)
    one = ["-m", "1"] if first else []
    commands = {node: shlex.join(["grep", *one, "-e", pattern, "--", *paths]) for node, paths in logs.items()}
    codes = run_commands(login_lines(workspace, state, list(logs)), commands).values()
    # A node without a match is not a failure if another node has one.
    return worst({str(index): code for index, code in enumerate(codes) if code != 1 or 0 not in codes})


def run_commands(
    lines: Mapping[str, Sequence[str]], commands: Mapping[str, str], *, follows: bool = False, kept: str = ""
) -> dict[str, int]:
    """Run a command on each node and print the output, colored by node if there are several; return the exit codes.

    Args:
        lines: OpenSSH's command line by node.
        commands: the shell command for each node.
        follows: whether the commands run until ^C.
        kept: print only lines that contain this text.
    """
    prefixes = Prefixes.of(lines, color=use_color(), is_kept=lambda line: kept in line)
    try:
        return run_on_each(
            {node: [*lines[node], commands[node]] for node in lines}, [], look=prefixes, holds_input=follows
        )
    except KeyboardInterrupt:
        return {}


def worst(codes: Mapping[str, int]) -> int:
    """Return the highest exit code, 0 if there is none."""
    return max(codes.values(), default=0)


def run_on_nodes(workspace: Workspace, service: str, where: str, command: str, kept: str = "") -> int:
    """Run one command on nodes and print the lines that contain a text; return the highest exit code.

    Raises:
        DtkError: none of the nodes runs.
    """
    state, nodes = nodes_meant(workspace, service, where)
    if not nodes:
        raise DtkError(f"no node of service '{service}' is running", hint=f"dtk start {service}")
    return worst(run_commands(login_lines(workspace, state, nodes), dict.fromkeys(nodes, command), kept=kept))
