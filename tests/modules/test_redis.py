"""dtk:redis on real local nodes: replicas follow the primary, with a password, alone, and after a change.

One test with one deployment: the steps build on each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.modules.changed import changed_by_create
from tests.support.command_line import Dtk

SERVICE = "redis1"
PASSWORD: Any = {"REDIS_PASSWORD": 'it\'s a "secret" of 7'}


@pytest.fixture
def dtk(tmp_path: Path) -> Iterator[Dtk]:
    made = Dtk(tmp_path)
    made.run("init")
    yield made
    made.run("delete-and-destroy", SERVICE, "--yes", "--force", code=None, **PASSWORD)


def everything_written(root: Path) -> str:
    folder = root / ".dtk/services" / SERVICE
    return "".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


def asked(dtk: Dtk, node: str, words: str) -> str:
    script = f'here=$HOME/redis; . redis/environment.sh; "$bin/redis-cli" -h "$host" -p "$port" {words}'
    return dtk.run("ssh", SERVICE, node, "--", script, **PASSWORD).stdout


def test_replicas_follow_the_primary(dtk: Dtk) -> None:
    dtk.run("stage", "dtk:redis/replicated", SERVICE, "--set", "primary/redis::primary/password=env:REDIS_PASSWORD")
    shown = dtk.run("apply", SERVICE, "--yes", **PASSWORD).stdout
    assert shown.count("read on ") == 3
    asked(dtk, "primary", "SET kept 'since the beginning'")
    dtk.run("converge", SERVICE, "--yes", **PASSWORD)
    assert changed_by_create(dtk, SERVICE, 2) == []

    dtk.run("set-attribute", SERVICE, "primary/redis::primary/settings", '{"appendonly": "yes", "maxclients": 99}')
    assert dtk.run("apply", SERVICE, "--yes", **PASSWORD).stdout.count("read on ") == 3
    assert asked(dtk, "replicas:2", "CONFIG GET maxclients").split() == ["maxclients", "99"]
    assert asked(dtk, "replicas:2", "GET kept") == "since the beginning\n"

    dtk.run("set-attribute", SERVICE, "replicas/cardinality", "0")
    assert dtk.run("apply", SERVICE, "--yes", **PASSWORD).stdout.count("read on ") == 1
    assert asked(dtk, "primary", "GET kept") == "since the beginning\n"
    assert PASSWORD["REDIS_PASSWORD"] not in everything_written(dtk.root)
