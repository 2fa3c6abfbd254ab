"""``dtk doctor``: reports the condition of a service's parts, with a report to paste into an issue."""

from __future__ import annotations

import platform
from contextlib import suppress
from dataclasses import asdict

import typer

from dtk import __version__
from dtk.cli.options import JsonOption, ServiceArgument
from dtk.cli.output import print_json
from dtk.cli.passphrases import ask_passphrases_for
from dtk.errors import DtkError
from dtk.service.context import chosen_service, current_workspace
from dtk.service.examination import Examined, examine, redacted
from dtk.service.planning import read_inputs

_SIGNS = {"ok": "ok   ", "note": "note ", "wrong": "WRONG"}


def doctor(service: ServiceArgument = None, as_json: JsonOption = False) -> None:
    """Examine a service: files, state, tasks and nodes. Change nothing.

    Ends with a report for an issue, without hidden values, addresses and names of folders. Exit code 1 if something
    is wrong. Example: dtk doctor dask1
    """
    workspace = current_workspace()
    name = chosen_service(workspace, service)
    with suppress(DtkError):  # the examination names what is wrong
        ask_passphrases_for(read_inputs(workspace, name))
    found = examine(workspace, name)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        typer.echo("".join(_lines(one) for one in found))
        typer.echo("A report to paste into an issue:\n")
        typer.echo(_report(redacted(workspace, name, found)), nl=False)
    if any(one.verdict == "wrong" for one in found):
        raise typer.Exit(DtkError.exit_code)


def _lines(one: Examined) -> str:
    following = f"\n{'next:':>14} {one.next}" if one.next else ""
    return f"{_SIGNS[one.verdict]}  {one.part:<8} {one.text}{following}\n"


def _report(found: list[Examined]) -> str:
    system = f"dtk {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    return "".join(["```text\n", f"{system}\n", *map(_lines, found), "```\n"])
