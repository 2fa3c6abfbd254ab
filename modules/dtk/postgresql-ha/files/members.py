"""Query and change the members of the Patroni cluster.

Usage: members.py role | wait | restart | switchover [NODE] | take_over ADDRESS…
"""

from __future__ import annotations

import json
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

FOLDER = Path("/etc/patroni")
CAUGHT_UP = 1_000_000
"""How many bytes a replica may lack and still follow."""
PATIENCE = 120
"""Seconds without progress after which members have not done what was asked of them."""
BUSY = {"initializing new cluster", "running custom bootstrap script", "creating replica", "starting"}
"""States in which a member restores, copies or recovers data, which takes hours if there is much of it."""
RESTORE_FAILED = Path("/var/lib/postgresql/restore.failed")

own = json.loads((FOLDER / "members.json").read_text())
tls = ssl.create_default_context(cafile=str(FOLDER / "tls/ca.pem"))
tls.load_cert_chain(FOLDER / "tls/certificate.pem", FOLDER / "tls/key.pem")


def ask(url: str, body: dict[str, str] | None = None) -> str:
    """Return an answer; a body is posted."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE, context=tls) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        sys.exit(f"Patroni refuses with {error.code}: {error.read().decode()}")


def members() -> dict[str, dict[str, Any]]:
    """Return all members by name."""
    return {member["name"]: member for member in json.loads(ask(f"{own['url']}/cluster"))["members"]}


def leader(found: dict[str, dict[str, Any]]) -> str:
    """Return the primary's name; "" if there is none."""
    return next((name for name, member in found.items() if member["role"] == "leader"), "")


def follows(member: dict[str, Any]) -> bool:
    """Return whether a member is the primary, or a replica that has caught up."""
    lag = member.get("lag")
    if member["state"] not in ("running", "streaming"):
        return False
    return member["role"] == "leader" or (isinstance(lag, int) and lag < CAUGHT_UP)


def is_synchronous() -> bool:
    """Return whether the primary acknowledges a write only after a replica has received it."""
    return bool(json.loads(ask(f"{own['url']}/config")).get("synchronous_mode", False))


def is_settled(found: dict[str, dict[str, Any]]) -> bool:
    """Return whether the primary has finished choosing the synchronous replica.

    If the chosen replica stops within the two seconds that this takes, Patroni 3.0 does not notice: PostgreSQL waits
    for that replica, and all writes with it, until another replica follows.
    """
    replicas = [member for member in found.values() if member["role"] != "leader" and follows(member)]
    return any(member["role"] == "sync_standby" for member in replicas) or not replicas or not is_synchronous()


def progress(found: dict[str, dict[str, Any]]) -> object:
    """Return a value that changes as long as a member gets its data."""
    if any(member["state"] in BUSY for member in found.values()):
        return time.monotonic()
    if leader(found):
        return None
    # A restored server replays the archive before it becomes the primary.
    running = [member for member in found.values() if member["state"] == "running"]
    return [json.loads(ask(member["api_url"])).get("xlog") for member in running]


def wait(names: list[str], primary: str = "") -> None:
    """Wait until these members run and follow a primary (the named one), and a replica is synchronous."""
    until = time.monotonic() + PATIENCE
    found: dict[str, dict[str, Any]] = {}
    reached: object = None
    while time.monotonic() < until:
        if RESTORE_FAILED.exists():
            sys.exit(f"the restore failed:\n{RESTORE_FAILED.read_text()}")
        try:
            found = members()
            ready = all(name in found and follows(found[name]) for name in names)
            if ready and leader(found) and leader(found) == (primary or leader(found)) and is_settled(found):
                return
            if (now := progress(found)) != reached:
                reached, until = now, time.monotonic() + PATIENCE
        except OSError:
            found = {}
        time.sleep(0.5)
    shown = ", ".join(f"{name} is {member['role']} and {member['state']}" for name, member in found.items())
    sys.exit(
        f"{', '.join(names)} did not run and follow, and nothing changed for {PATIENCE} seconds: "
        f"{shown or 'Patroni does not answer'}"
    )


def switchover(candidate: str) -> None:
    """Make a replica the primary, and wait until all members follow it."""
    found = members()
    before = leader(found)
    if candidate and candidate == before:
        print(f"{candidate} is the primary already")
        return
    # With synchronous replication only that replica surely has everything.
    replicas = sorted(
        (member["role"] != "sync_standby", member.get("lag", 0), name)
        for name, member in found.items()
        if name != before and follows(member)
    )
    if not replicas:
        sys.exit("no replica follows the primary: there is none to switch to")
    after = candidate or replicas[0][2]
    print(ask(f"{own['url']}/switchover", {"leader": before, "candidate": after}))
    wait(list(found), after)
    print(f"{after} is the primary, and was a replica of {before}")


def take_over(staying: list[str]) -> None:
    """Make a server that stays the primary, unless one of them is; it has everything by then.

    Args:
        staying: the addresses of the servers that stay.
    """
    wait([own["name"]])
    found = members()
    before = leader(found)
    if found[before]["host"] in staying:
        print(f"{before} stays the primary")
        return
    # A primary without a synchronous replica gives way to nobody, and nobody may take over from it.
    needs_synchronous = is_synchronous()
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = members()
        candidates = [name for name, member in found.items() if member["host"] in staying and follows(member)]
        ready = [name for name in candidates if found[name]["role"] == "sync_standby" or not needs_synchronous]
        if ready:
            switchover(ready[0])
            return
        time.sleep(0.5)
    sys.exit(f"the primary {before} is to leave, and after {PATIENCE} seconds no server that stays has all of its data")


verb, *words = sys.argv[1:]
if verb == "role":
    print(members()[own["name"]]["role"])
elif verb == "wait":
    wait([own["name"]])
elif verb == "restart":
    print(ask(f"{own['url']}/restart", {}))
    wait([own["name"]])
elif verb == "take_over":
    take_over(words)
elif verb == "switchover":
    switchover("".join(words).replace(":", "-"))
