"""Make directories in HDFS with their owners and modes; those that are right already are left alone.

Usage: directories.py [--check] HDFS DIRECTORIES

HDFS is the command; DIRECTORIES a JSON list of maps with ``path`` and, if wanted, ``mode``, ``owner`` and ``group``,
in lists of any depth. ``--check`` only looks, and ends with exit code 1 when something is to be done.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

PERMISSIONS = {"r": 4, "w": 2, "x": 1, "t": 1, "s": 1}


def flattened(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from flattened(item)
    else:
        yield value | {"path": "/" + value["path"].strip("/")}


def hdfs(command: str, *arguments: str) -> None:
    print(f"hdfs dfs {' '.join(arguments)}", flush=True)
    subprocess.run([command, "dfs", *arguments], check=True)


def listed(command: str, paths: list[str]) -> dict[str, tuple[str, str, str]]:
    """Return the octal mode, the owner and the group of those of the directories that are there."""
    done = subprocess.run([command, "dfs", "-ls", "-d", *paths], capture_output=True, text=True, check=False)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {row[-1]: (octal(row[0]), row[2], row[3]) for row in rows if row and row[0].startswith("d")}


def octal(text: str) -> str:
    """``drwxrwxrwt`` → ``1777``."""
    bits = [PERMISSIONS.get(letter.lower(), 0) for letter in text[1:10]]
    digits = [sum(bits[start : start + 3]) for start in (0, 3, 6)]
    if text[9] == "T":  # sticky, but not executable for others
        digits[2] -= 1
    return f"{int(text[9] in 'tT')}{digits[0]}{digits[1]}{digits[2]}"


def wrong(wanted: list[dict[str, str]], there: dict[str, tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    """Yield what is to be done: the verb, its first argument, the path."""
    for directory in wanted:
        path = directory["path"]
        mode, owner, group = there.get(path, ("", "", ""))
        if not mode:
            yield "-mkdir", "-p", path
        if "mode" in directory and mode != str(directory["mode"]).rjust(4, "0"):
            yield "-chmod", str(directory["mode"]), path
        owners = (directory.get("owner", owner), directory.get("group", group))
        if owners != (owner, group):
            yield "-chown", ":".join(owners) if owners[1] else owners[0], path


def main(arguments: list[str]) -> int:
    """Do it, or look; return the exit code."""
    check = arguments[0] == "--check"
    command, text = arguments[check:]
    wanted = list(flattened(json.loads(text)))
    # One call, which takes a second or two, for all directories that want the same.
    calls: dict[tuple[str, str], list[str]] = defaultdict(list)
    for verb, argument, path in wrong(wanted, listed(command, [directory["path"] for directory in wanted])):
        calls[verb, argument].append(path)
    if check:
        return 1 if calls else 0
    for (verb, argument), paths in sorted(calls.items(), key=lambda call: call[0][0] != "-mkdir"):
        hdfs(command, verb, argument, *paths)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
