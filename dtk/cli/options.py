"""Options and arguments shared by several commands, with the same wording."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from dtk.errors import UsageError

MOST_WORKERS = 64
"""Maximum number of processes that hold connections; schemas/workspace.schema.json has it, too."""

ServiceArgument = Annotated[
    str | None,
    typer.Argument(metavar="[SERVICE]", help="The service. Default: DTK_SERVICE, or the only service."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print a JSON document instead.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Skip the components' delete actions, for nodes that cannot be reached.")
]
MaxInFlightOption = Annotated[
    str,
    typer.Option(
        "--max-in-flight",
        metavar="N",
        help="How many members of a group to change at once: 3, 25%. Default: the group's value.",
    ),
]
CanaryOption = Annotated[
    int, typer.Option("--canary", metavar="N", min=0, help="Change the first N members of a group before all others.")
]
DetachOption = Annotated[bool, typer.Option("--detach", help="Return at once; the task continues.")]
LockWaitOption = Annotated[
    str, typer.Option("--lock-wait", metavar="TIME", help="How long to wait for the service's lock: 30s, 5m.")
]
WorkersOption = Annotated[
    str,
    typer.Option(
        "--workers",
        metavar="N",
        help="How many processes hold the connections to nodes: 4, auto. Default: as in dtk.yaml.",
    ),
]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="WHAT", help="Only this node, group, component or stage; may be repeated."),
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="WHAT", help="Not this node, group, component or stage; may be repeated."),
]

NodeOption = Annotated[
    str | None, typer.Option("--node", "-n", metavar="NODE", help="Only this node or group; for a member, its group.")
]
ComponentOption = Annotated[
    str | None, typer.Option("--component", "-c", metavar="COMPONENT", help="Only this component.")
]
AttributeOption = Annotated[
    str | None, typer.Option("--attribute", "-a", metavar="ATTRIBUTE", help="Only attributes with this name.")
]
AssemblyArgument = Annotated[str, typer.Argument(metavar="ASSEMBLY", help="What to stage: namespace:module/assembly.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The new service's name.")]
TargetOption = Annotated[
    str | None, typer.Option("--target", metavar="TARGET", help="Where the service's nodes come from.")
]
SetOption = Annotated[list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="An attribute's value.")]
ValuesOption = Annotated[
    Path | None,
    typer.Option("--values", metavar="FILE", help="A YAML file of paths and values.", exists=True),
]
LogOption = Annotated[
    Path | None,
    typer.Option("--log", metavar="FILE", help="Read this event log, without a workspace.", exists=True),
]
TaskArgument = Annotated[int | None, typer.Argument(metavar="[TASK]", help="The task's number. Default: the latest.")]
EtaOption = Annotated[
    bool, typer.Option("--eta", help="Show how long each step is expected to take, from earlier tasks of the service.")
]
OutputOption = Annotated[
    bool, typer.Option("--output", help="In the stream: show the output of running steps as it arrives.")
]

LiveOutputOption = Annotated[bool, typer.Option("--output", help="Print the output of running steps as it arrives.")]
VerboseOption = Annotated[
    int, typer.Option("--verbose", "-v", count=True, help="-v is the same as --output; -vv also prints the commands.")
]
JunitOption = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", help="Write JUnit XML when the task ends, even if it fails."),
]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write an HTML page when the task ends, even if it fails."),
]

ServiceNameArgument = Annotated[str, typer.Argument(metavar="SERVICE", help="The service.")]
PersonArgument = Annotated[str, typer.Argument(metavar="NAME", help="The person's name: alice.")]
NodesArgument = Annotated[
    str,
    typer.Argument(metavar="NODE|GROUP", help="A node, a group, several separated by commas, or all."),
]
WhereArgument = Annotated[
    str, typer.Argument(metavar="[NODE|GROUP]", help="A node, a group, or several separated by commas.")
]
LogArgument = Annotated[
    str, typer.Argument(metavar="LOG", help="An attribute of type log_file, or a path on the node: /var/log/syslog.")
]
FollowOption = Annotated[bool, typer.Option("--follow", "-f", help="Follow the log until ^C.")]
LinesOption = Annotated[int, typer.Option("--lines", metavar="N", min=0, help="How many lines of each log to show.")]
FilterOption = Annotated[str, typer.Option("--filter", metavar="TEXT", help="Only lines that contain this text.")]

ChangedSinceOption = Annotated[
    str | None,
    typer.Option(
        "--changed-since", metavar="REF", help="Only services whose files or modules differ from those at a commit."
    ),
]


def worker_count(text: str) -> int | None:
    """Return the number of processes that ``--workers`` asks for: 0 for ``auto``, None if the option is not used.

    Raises:
        UsageError: the text is neither a number from 1 to ``MOST_WORKERS`` nor ``auto``.
    """
    if not text:
        return None
    if text == "auto":
        return 0
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= MOST_WORKERS:
        raise UsageError(
            f"--workers: '{text}' is not a number of processes", hint=f"write 1 to {MOST_WORKERS}, or auto"
        )
    return int(text)


_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> float:
    """Return the number of seconds in a time such as ``30``, ``30s``, ``5m`` or ``1h``.

    Raises:
        UsageError: the text is not a time.
    """
    match = re.fullmatch(r"([0-9]+)([smh]?)", text)
    if not match:
        raise UsageError(f"'{text}' is not a time", hint="write 30s, 5m or 1h")
    return float(match[1]) * _UNITS[match[2]]
