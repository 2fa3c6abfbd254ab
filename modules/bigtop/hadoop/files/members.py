"""Decommission HDFS datanodes before they are removed, and admit datanodes that are back or new.

Usage: members.py admit|check HDFS EXCLUDE_FILE
       members.py leave HDFS EXCLUDE_FILE NAMENODE_HTTP REPLICATION ADDRESS…

``leave`` decommissions every live datanode that is not at one of the addresses, and waits until the namenode has
REPLICATION copies of all its blocks elsewhere, or one copy on each remaining datanode if there are fewer. ``admit``
empties the list of excluded datanodes: those that left are stopped by then, and one with a kept volume comes back as
the same datanode at another address. ``check`` exits with code 1 if ``admit`` has something to do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

NODES = "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo"
DONE = "Decommissioned"
POLL_SECONDS = 0.5
SAID_EVERY = 10.0


def datanodes(namenode: str) -> dict[str, dict[str, object]]:
    """Return what the namenode reports about each live datanode, by the name it registered: its node's address."""
    with urllib.request.urlopen(f"http://{namenode}{NODES}", timeout=10) as answer:
        found = json.load(answer)["beans"][0]
    live, leaving = json.loads(found["LiveNodes"]), json.loads(found["DecomNodes"])
    return {name.rpartition(":")[0]: {**node, **leaving.get(name, {})} for name, node in live.items()}


def excluded(file: Path) -> dict[str, str]:
    """Return the namenode's name of each excluded datanode, by its node's address, which is in the line's comment."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {address: known for known, _, address in (line.partition(" # ") for line in lines)}


def exclude(command: str, file: Path, nodes: dict[str, str]) -> None:
    file.write_text("".join(f"{known} # {address}\n" for address, known in sorted(nodes.items())))
    subprocess.run([command, "dfsadmin", "-refreshNodes"], check=True)


def is_copied(node: dict[str, object]) -> bool:
    """Return whether each block of a leaving datanode has a copy on a remaining one.

    The namenode counts blocks with too few copies, and those without any. Until it has checked, both counts are 0.
    """
    return bool(node.get("underReplicatedBlocks")) and node.get("decommissionOnlyReplicas") == 0


def leave(command: str, file: Path, namenode: str, replication: int, wanted: list[str]) -> int:
    live = datanodes(namenode)
    going = {address: str(node["xferaddr"]) for address, node in live.items() if address not in wanted}
    if not going:
        print("no datanode leaves")
        return 0
    names = ", ".join(sorted(going))
    print(f"moving blocks away from {names}", flush=True)
    exclude(command, file, excluded(file) | going)
    said = time.monotonic()
    # HDFS waits for all copies, which too few datanodes cannot hold.
    is_few = len(live.keys() - going.keys()) < replication

    def waits(node: dict[str, object]) -> bool:
        return node["adminState"] != DONE and not (is_few and is_copied(node))

    while waiting := [address for address, node in datanodes(namenode).items() if address in going and waits(node)]:
        if time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            print(f"still moving blocks away from {', '.join(waiting)}", flush=True)
        time.sleep(POLL_SECONDS)
    print(f"{'each block has a copy on another datanode' if is_few else 'decommissioned'}: {names}")
    return 0


def main(verb: str, command: str, exclude_file: str, *rest: str) -> int:
    """Run a command of the usage; return the exit code."""
    file = Path(exclude_file)
    if verb == "leave":
        namenode, replication, *wanted = rest
        return leave(command, file, namenode, int(replication), wanted)
    if verb == "check":
        return 0 if file.exists() and not excluded(file) else 1
    exclude(command, file, {})
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
