"""``dtk module new``: creates a small valid module with a test."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from dtk.cli.output import shown_path
from dtk.errors import UsageError
from dtk.model.names import module_name
from dtk.service.context import current_workspace


class Verb(StrEnum):
    """The subcommands of ``dtk module``."""

    NEW = "new"


_MODULE = """{modeline}
dsl_version: 1.0.0
module: {name}
version: 0.1.0
description: What {word} is for
components:
  {component}:
    description: Writes a greeting where a server would be set up
    attributes:
      greeting: {{type: string, default: hello, description: What is written}}
    actions:
      create:
        operations:
          - files.directory: {{path: {word}}}
          - server.shell: {{commands: ["printf '%s\\n' {{{{ greeting }}}} > {word}/greeting"]}}
      check:
        commands:
          - RUN cat {word}/greeting
assemblies:
  single:
    description: One node
    nodes:
      main:
        components: [{type}]
    workflows:
      create:
        subtasks:
          - {{name: {component}, components: [{type}]}}
          - {{name: check, actions: [{type}.check]}}
"""
_SERVICE = """{modeline}
format_version: 1
service: first
assembly: {shown}/single
target: local
"""
_README = """# {name}

What it is for. `dtk info {shown} --markdown` writes the reference of its attributes and actions;
`dtk test {shown}` runs its cases.
"""


def module(
    verb: Annotated[Verb, typer.Argument(metavar="new", help="Make a new module.")],  # noqa: ARG001 - the only one
    name: Annotated[str, typer.Argument(metavar="NS/NAME", help="The module's name.")],
) -> None:
    """Create a new module: small, valid, with a test.

    Example: dtk module new acme/web
    """
    from dtk.cases.case import cases_of  # noqa: PLC0415 - the compiler, only to write the expected plan
    from dtk.cases.case import update as write_expected  # noqa: PLC0415 - as above
    from dtk.dsl.catalog import load_catalog  # noqa: PLC0415 - as above
    from dtk.dsl.yaml.modeline import modeline, provide_schemas  # noqa: PLC0415 - as above

    workspace = current_workspace()
    full = module_name(name)
    if full is None:
        raise UsageError(f"invalid module name '{name}'", hint="write it as namespace/name: letters, digits, _ and -")
    folder = workspace.modules / full
    if folder.exists():
        raise UsageError(f"{shown_path(folder)} already exists")
    word = full.rpartition("/")[2]
    words = {"name": full, "word": word, "component": "server", "type": f"{word}::server"}
    words |= {"shown": full.replace("/", ":")}
    (folder / "tests" / "first").mkdir(parents=True)
    file, case_file = folder / "dtk.module.yaml", folder / "tests" / "first" / "service.yaml"
    provide_schemas(workspace)
    file.write_text(_MODULE.format(modeline=modeline("module", file, workspace), **words), encoding="utf-8")
    (folder / "README.md").write_text(_README.format(**words), encoding="utf-8")
    case_file.write_text(_SERVICE.format(modeline=modeline("service", case_file, workspace), **words), encoding="utf-8")
    for case in cases_of(load_catalog(workspace).find(full), load_catalog(workspace).with_dependencies(full)):
        write_expected(case)
    typer.echo(f"Module created in {shown_path(folder)}")
    typer.echo(f"next: dtk test {words['shown']}, then dtk deploy {words['shown']}/single NAME")
