"""The measured work, in the form of each tool: the same files, folders and commands."""

from __future__ import annotations

import json
from pathlib import Path

FILES = Path(__file__).parent / "files"
COMMANDS = "commands"
"""Four commands and nothing else, for simulated machines."""


def kinds(operations: str) -> list[tuple[str, int]]:
    """Return the operations in order: kind, and number within its kind."""
    if operations == COMMANDS:
        return [("shell", at) for at in range(4)]
    if operations == "4":
        return [(kind, 0) for kind in ("directory", "put", "template", "shell")]
    return [(kind, at) for at in range(2) for kind in ("directory", "put", "template", "line", "shell")]


def run_work(home: str, operations: str) -> None:
    """Do the work with pyinfra on its current host."""
    from pyinfra.operations import files, server

    for kind, at in kinds(operations):
        if kind == "directory":
            files.directory(path=f"{home}/folder{at}")
        elif kind == "put":
            files.put(src=str(FILES / "put.txt"), dest=f"{home}/put{at}")
        elif kind == "template":
            files.template(src=str(FILES / "text.j2"), dest=f"{home}/text{at}", word="bench")
        elif kind == "line":
            files.line(path=f"{home}/lines{at}", line="bench")
        else:
            server.shell(commands=["true"])


def module(operations: str) -> str:
    """Return the work as a dtk module."""
    items = {
        "directory": '- files.directory: {path: "{{ node.home }}/folderAT"}',
        "put": '- files.put: {src: files/put.txt, dest: "{{ node.home }}/putAT"}',
        "template": '- files.template: {src: files/text.j2, dest: "{{ node.home }}/textAT", word: bench}',
        "line": '- files.line: {path: "{{ node.home }}/linesAT", line: bench}',
        "shell": "- server.shell: {commands: ['true']}",
    }
    lines = "\n".join("          " + items[kind].replace("AT", str(at)) for kind, at in kinds(operations))
    return f"""\
dsl_version: 1.0.0
module: acme/bench
version: 1.0.0
components:
  bench:
    actions:
      create:
        operations:
{lines}
assemblies:
  hosts:
    nodes:
      workers: {{attributes: {{type: group, cardinality: 1}}, components: [bench]}}
"""


def playbook(operations: str) -> str:
    """Return the work as an Ansible playbook."""
    tasks = {
        "directory": {"file": {"path": "{{ home }}/folderAT", "state": "directory"}},
        "put": {"copy": {"src": str(FILES / "put.txt"), "dest": "{{ home }}/putAT"}},
        "template": {"template": {"src": str(FILES / "text.j2"), "dest": "{{ home }}/textAT"}},
        "line": {"lineinfile": {"path": "{{ home }}/linesAT", "line": "bench", "create": True}},
        "shell": {"shell": "true"},
    }
    chosen = [json.loads(json.dumps(tasks[kind]).replace("AT", str(at))) for kind, at in kinds(operations)]
    return json.dumps([{"hosts": "all", "gather_facts": False, "vars": {"word": "bench"}, "tasks": chosen}])
