"""Words that people type from habit: aliases of commands, and dtk's equivalents of other tools' words and options."""

from __future__ import annotations

from collections.abc import Iterable

from dtk.model.suggestion import nearest

ALIASES = {
    "destroy": "delete-and-destroy",
    "list": "ls",
    "services": "ls",
    "status": "task-status",
    "tasks": "list-tasks",
    "cancel": "cancel-task",
    "nodes": "list-nodes",
    "output": "outputs",
    "get-ps": "ps",
    "get-netstats": "netstat",
    "attributes": "list-attributes",
    "run": "exec",
}
"""Aliases of commands, for words that can mean only one thing."""

_COMMANDS = {
    "delete": "dtk delete-and-destroy SERVICE deletes it and its nodes; dtk delete-node SERVICE NODE removes one",
    "rm": "dtk delete-and-destroy SERVICE deletes it and its nodes; dtk uninstall MODULE removes a module",
    "remove": "dtk delete-and-destroy SERVICE deletes it and its nodes; dtk uninstall MODULE removes a module",
    "down": "dtk stop SERVICE keeps the disks; dtk delete-and-destroy SERVICE terminates its nodes",
    "up": "dtk start SERVICE powers its nodes on; dtk deploy ASSEMBLY NAME creates a new service",
    "show": "dtk info SERVICE, dtk list-attributes SERVICE or dtk outputs SERVICE; of a task: dtk task-status SERVICE",
    "describe": "dtk info SERVICE",
    "get": "dtk ls lists services; dtk info SERVICE describes one",
    "set": "dtk set-attribute SERVICE PATH VALUE",
    "scale": "dtk set-attribute SERVICE GROUP/cardinality N, and then dtk apply SERVICE",
    "diff": "dtk plan SERVICE",
    "preview": "dtk plan SERVICE",
    "check": "dtk validate checks the files; dtk plan SERVICE shows what would change",
    "lint": "dtk validate",
    "format": "dtk fmt",
    "refresh": "dtk plan SERVICE --refresh",
    "import": "dtk adopt SERVICE NODE INSTANCE_ID adopts an existing machine; dtk install ADDRESS fetches modules",
    "create": "dtk stage ASSEMBLY NAME, or dtk module new NAMESPACE/NAME for a module of your own",
    "new": "dtk module new NAMESPACE/NAME, or dtk stage ASSEMBLY NAME",
    "resume": "dtk apply SERVICE --resume",
    "retry": "dtk apply SERVICE --resume",
    "restart": "dtk stop SERVICE, then dtk start SERVICE; of a component: dtk list-actions SERVICE, dtk exec",
    "console": "dtk shell",
    "grant": "dtk grant-access SERVICE NAME KEY; who has access: dtk list-ssh-access SERVICE",
    "revoke": "dtk revoke-access SERVICE NAME; who has access: dtk list-ssh-access SERVICE",
    "reset": "dtk destroy-and-reset-nodes SERVICE terminates its nodes and keeps the service",
    "recreate": "dtk destroy-and-reset-nodes SERVICE, then dtk apply SERVICE",
}
"""Words of other tools that can mean more than one thing here, with the possible commands."""

_OPTIONS = {
    "--auto-approve": "--yes",
    "--force-yes": "--yes",
    "--limit": "--only",
    "--target": "--only",
    "--tags": "--only",
    "--skip-tags": "--exclude",
    "--check": "dtk plan SERVICE",
    "--dry-run": "dtk plan SERVICE",
    "--diff": "dtk plan SERVICE",
    "--var": "--set",
    "--extra-vars": "--values",
    "--var-file": "--values",
    "--follow": "--wait",
    "--watch": "--wait",
    "-w": "--wait",
    "-v": "--output",
    "-vv": "--output",
    "-vvv": "--output",
    "--verbose": "--output",
}
"""Options of other tools with dtk's equivalent: an option or a command."""


def command_hint(word: str, commands: Iterable[str]) -> str:
    """Return a suggestion for a word that is not a command, "" if nothing is similar."""
    if word in _COMMANDS:
        return _COMMANDS[word]
    near = nearest(word, (*commands, *ALIASES))
    return f"did you mean 'dtk {near}'?" if near else ""


def option_hint(option: str, command: str, options: Iterable[str]) -> str:
    """Return a suggestion for an option that a command does not have, "" if nothing is similar.

    Args:
        option: the option as typed, such as ``--auto-approve``.
        command: the command, such as ``dtk apply``.
        options: the options of the command.
    """
    known = list(options)
    instead = _OPTIONS.get(option, "")
    if instead.startswith("dtk"):
        return instead
    if instead in known:
        return f"use {command} {instead}"
    near = nearest(option, [name for name in known if name.startswith("--")])
    return f"did you mean '{near}'?" if near else ""
