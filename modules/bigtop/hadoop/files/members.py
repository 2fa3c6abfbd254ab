"""Which datanodes belong to HDFS: move the blocks off those that go, let in those that come.

Usage: members.py admit|check HDFS EXCLUDE_FILE
       members.py leave HDFS EXCLUDE_FILE NAMENODE_HTTP REPLICATION ADDRESS…

``leave`` decommissions every live datanode that is not at one of the addresses, and waits until the namenode has
REPLICATION copies of all its blocks elsewhere, or one copy on each datanode that stays if there are fewer. ``admit``
takes all datanodes off the list of the excluded: those that left have ended by then, and one whose volume was kept
comes back as the same datanode at another address. ``check`` ends with exit code 1 when admit has something to do.
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
    """Return what the namenode knows of each live datanode, by the name that the datanode gave: its node's address."""
    with urllib.request.urlopen(f"http://{namenode}{NODES}", timeout=10) as answer:
        found = json.load(answer)["beans"][0]
    live, leaving = json.loads(found["LiveNodes"]), json.loads(found["DecomNodes"])
    return {name.rpartition(":")[0]: {**node, **leaving.get(name, {})} for name, node in live.items()}


def excluded(file: Path) -> dict[str, str]:
    """Return how the namenode knows each excluded datanode, by its node's address: the comment behind it."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {address: known for known, _, address in (line.partition(" # ") for line in lines)}


def exclude(command: str, file: Path, nodes: dict[str, str]) -> None:
    file.write_text("".join(f"{known} # {address}\n" for address, known in sorted(nodes.items())))
    subprocess.run([command, "dfsadmin", "-refreshNodes"], check=True)


def is_copied(node: dict[str, object]) -> bool:
    """Return whether each block of a datanode that leaves has a copy on one that stays.

    The namenode counts blocks with too few copies, and those without any. Before it has looked, both counts are 0.
    """
    return bool(node.get("underReplicatedBlocks")) and node.get("decommissionOnlyReplicas") == 0


def leave(command: str, file: Path, namenode: str, replication: int, wanted: list[str]) -> int:
    live = datanodes(namenode)
    going = {address: str(node["xferaddr"]) for address, node in live.items() if address not in wanted}
    if not going:
        print("every datanode stays")
        return 0
    names = ", ".join(sorted(going))
    print(f"moving the blocks off {names}", flush=True)
    exclude(command, file, excluded(file) | going)
    said = time.monotonic()
    # HDFS itself waits for all copies, which fewer datanodes cannot hold.
    is_few = len(live.keys() - going.keys()) < replication

    def waits(node: dict[str, object]) -> bool:
        return node["adminState"] != DONE and not (is_few and is_copied(node))

    while waiting := [address for address, node in datanodes(namenode).items() if address in going and waits(node)]:
        if time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            print(f"still moving: {', '.join(waiting)}", flush=True)
        time.sleep(POLL_SECONDS)
    print(f"{'each block has a copy on another datanode' if is_few else 'decommissioned'}: {names}")
    return 0


def main(verb: str, command: str, exclude_file: str, *rest: str) -> int:
    """Do what the verb says; return the exit code."""
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
