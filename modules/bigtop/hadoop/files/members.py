"""Which datanodes belong to HDFS: move the blocks off those that go, let in those that come.

Usage: members.py admit|leave|check HDFS EXCLUDE_FILE NAMENODE_HTTP ADDRESS…

ADDRESS… are the datanodes that are wanted. ``leave`` decommissions every live datanode that is not among them and waits
until the namenode has copies of all its blocks elsewhere; ``admit`` takes those that are wanted off the list of the
excluded; ``check`` ends with exit code 1 when admit has something to do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

LIVE_NODES = "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo"
DONE = "Decommissioned"
POLL_SECONDS = 0.5
SAID_EVERY = 10.0


def datanodes(namenode: str) -> dict[str, dict[str, object]]:
    """Return what the namenode knows of each live datanode, by the name that the datanode gave: its node's address."""
    with urllib.request.urlopen(f"http://{namenode}{LIVE_NODES}", timeout=10) as answer:
        live = json.loads(json.load(answer)["beans"][0]["LiveNodes"])
    return {name.rpartition(":")[0]: node for name, node in live.items()}


def excluded(file: Path) -> dict[str, str]:
    """Return how the namenode knows each excluded datanode, by its node's address: the comment behind it."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {address: known for known, _, address in (line.partition(" # ") for line in lines)}


def exclude(command: str, file: Path, nodes: dict[str, str]) -> None:
    file.write_text("".join(f"{known} # {address}\n" for address, known in sorted(nodes.items())))
    subprocess.run([command, "dfsadmin", "-refreshNodes"], check=True)


def leave(command: str, file: Path, namenode: str, wanted: list[str]) -> int:
    live = datanodes(namenode)
    going = {address: str(node["xferaddr"]) for address, node in live.items() if address not in wanted}
    if not going:
        print("every datanode stays")
        return 0
    names = ", ".join(sorted(going))
    print(f"moving the blocks off {names}", flush=True)
    exclude(command, file, excluded(file) | going)
    said = time.monotonic()
    while waiting := [a for a, node in datanodes(namenode).items() if a in going and node["adminState"] != DONE]:
        if time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            print(f"still moving: {', '.join(waiting)}", flush=True)
        time.sleep(POLL_SECONDS)
    print(f"decommissioned: {names}")
    return 0


def main(verb: str, command: str, exclude_file: str, namenode: str, *wanted: str) -> int:
    """Do what the verb says; return the exit code."""
    file = Path(exclude_file)
    if verb == "leave":
        return leave(command, file, namenode, list(wanted))
    staying = {address: known for address, known in excluded(file).items() if address not in wanted}
    if verb == "check":
        return 0 if staying == excluded(file) and file.exists() else 1
    exclude(command, file, staying)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
