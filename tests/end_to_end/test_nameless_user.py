"""A user without a name, as `docker run --user 12345` makes one, can do all that needs the store."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path

import pytest

from dtk.__main__ import run
from dtk.service.cancelling import cancel_anywhere
from dtk.state.model import State
from dtk.state.store import save_state
from dtk.state.workspace import Workspace
from dtk.store.folder_objects import FolderObjects
from dtk.store.layout import ServiceKeys
from dtk.store.lease import LeaseRequest, Tools, acquire, new_lease
from tests.end_to_end.test_takeover import CLUSTER, MODULE
from tests.support.command_line import Dtk
from tests.support.shared_clones import Team, found_team

KEYS = ServiceKeys("app1")


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """Return a team with a service, and make this process's user nameless."""
    team = found_team(tmp_path, MODULE)
    Dtk(team.origin).run("stage", CLUSTER, "app1")
    for name in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN"):
        monkeypatch.delenv(name, raising=False)

    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.setattr(getpass, "getuser", nameless)
    return team


def test_a_nameless_user_holds_pushes_and_cancels(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(team.clone("one").root)
    assert run(["plan", "app1", "--refresh", "--out", "plan.json"]) == 0
    workspace, lineage = Workspace(Path.cwd()), team.head("app1")["lineage"]
    save_state(workspace.state_file("app1"), State("app1", lineage, 1))
    assert run(["state", "push", "app1"]) == 0
    objects = FolderObjects(team.store)
    lease = acquire(Tools(objects), LeaseRequest("app1", lineage, new_lease("elsewhere", "ada", "dtk apply", 60.0)))
    lease.begin_task(1)
    assert cancel_anywhere(workspace, "app1") == 1
    asked = objects.get(KEYS.cancel(1, lease.head.epoch))
    assert asked is not None
    assert json.loads(asked.data)["user"] == str(os.getuid())
