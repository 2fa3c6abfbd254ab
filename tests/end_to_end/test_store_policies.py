"""The three IAM policies of docs/teams.md, checked against every request that dtk makes to an S3 store."""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import boto3
import pytest

from tests.end_to_end.test_hosts import with_module
from tests.store.stores import S3Server
from tests.support.command_line import Dtk

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/teams.md"
BUCKET, PREFIX = "acme-dtk", "data-platform"
ROLES = ("watcher", "planner", "runner")
ACTIONS = {"GET": "s3:GetObject", "PUT": "s3:PutObject", "DELETE": "s3:DeleteObject"}


def policies() -> dict[str, list[dict[str, Any]]]:
    """Return the statements of each role and of the bucket, as in the documentation."""
    text = DOCUMENT.read_text()
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]
    found = [block["Statement"] for block in blocks if "Statement" in block]
    return dict(zip((*ROLES, "bucket"), found, strict=True))


@dataclass
class GuardedServer(S3Server):
    """An S3 server that allows each access key (named like a role) only what the role's policy allows."""

    statements: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    used: dict[str, set[tuple[int, str, str]]] = field(default_factory=lambda: {role: set() for role in ROLES})
    """By role: which statement, action and resource pattern allowed a request."""
    refused: list[tuple[str, str, str]] = field(default_factory=list)
    swaps: int = 0
    """Writes that the bucket's policy permits only with a condition."""

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        found = re.search(r"Credential=([^/]+)/", environ.get("HTTP_AUTHORIZATION", ""))
        role = found[1] if found else ""
        if role in self.statements and not self._allows(role, environ):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [b"<Error><Code>AccessDenied</Code><Message>not in the policy</Message></Error>"]
        return super()._answer(environ, start_response)

    def _allows(self, role: str, environ: dict[str, Any]) -> bool:
        bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
        listed = parse_qs(environ.get("QUERY_STRING", "")).get("prefix", [""])[0]
        action = ACTIONS[environ["REQUEST_METHOD"]] if key else "s3:ListBucket"
        resource = f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
        if self._bucket_denies(action, resource, environ):
            self.refused.append((role, action, key))
            return False
        for number, statement in enumerate(self.statements[role]):
            patterns = [one for one in _texts(statement["Resource"]) if fnmatch.fnmatchcase(resource, one)]
            prefixes = _texts(statement.get("Condition", {}).get("StringLikeIfExists", {}).get("s3:prefix", "*"))
            if (
                action in _texts(statement["Action"])
                and patterns
                and any(fnmatch.fnmatchcase(listed, p) for p in prefixes)
            ):
                self.used[role].add((number, action, patterns[0]))
                return True
        self.refused.append((role, action, key or listed))
        return False

    def _bucket_denies(self, action: str, resource: str, environ: dict[str, Any]) -> bool:
        """Return whether the bucket's policy denies a request because it lacks required headers."""
        for statement in self.statements["bucket"]:
            lacking = statement["Condition"].get("Null", {})
            if lacking and action == statement["Action"] and fnmatch.fnmatchcase(resource, statement["Resource"]):
                self.swaps += 1
                return all(
                    f"HTTP_{name.removeprefix('s3:').replace('-', '_').upper()}" not in environ for name in lacking
                )
        return False


def _texts(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.fixture
def server() -> Iterator[tuple[GuardedServer, str]]:
    found = GuardedServer(statements=policies())
    url = found.start()
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="root", aws_secret_access_key="x"
    )
    client.create_bucket(Bucket=BUCKET)
    yield found, url
    found.stop()


@pytest.fixture
def origin(tmp_path: Path, server: tuple[GuardedServer, str]) -> Dtk:
    dtk = with_module(tmp_path / "origin")
    store = {"type": "s3", "bucket": BUCKET, "prefix": PREFIX, "region": "us-east-1", "endpoint_url": server[1]}
    with (dtk.root / "dtk.yaml").open("a") as file:
        file.write(f"store: {json.dumps(store)}\n")
    dtk.run("stage", "acme:ring/cluster", "app1", AWS_ACCESS_KEY_ID="runner", AWS_SECRET_ACCESS_KEY="x")
    return dtk


def test_each_role_can_do_its_work_and_no_more(origin: Dtk, server: tuple[GuardedServer, str]) -> None:
    guarded, _ = server

    def run(role: str, *words: str, code: int = 0) -> str:
        """Run a command in a fresh clone with the credentials of a role."""
        root = origin.root.parent / role
        if not root.exists():
            shutil.copytree(origin.root, root, ignore=shutil.ignore_patterns(".dtk"))
        done = Dtk(root).run(*words, code=code, AWS_ACCESS_KEY_ID=role, AWS_SECRET_ACCESS_KEY="x")
        return done.stdout + done.stderr

    digest = re.search(r"sha256:[0-9a-f]{64}", run("planner", "plan", "app1", "--save"))
    assert digest
    refused = run("watcher", "apply", "app1", "--yes", code=1)
    assert "AccessDenied" in refused
    assert "ask for the permissions that docs/teams.md lists" in refused
    guarded.refused.clear()
    run("runner", "apply", "--plan", digest[0])
    for words in (
        ["plan", "app1"],
        ["ls"],
        ["list-nodes", "app1"],
        ["task-status", "app1"],
        ["state", "history", "app1"],
    ):
        for role in ("watcher", "planner"):
            run(role, *words)
    assert "Nothing to do" in run("watcher", "plan", "app1")
    # Access to state and logs does not include the private key.
    key = boto3.client(
        "s3",
        endpoint_url=server[1],
        region_name="us-east-1",
        aws_access_key_id="watcher",
        aws_secret_access_key="x",
    )
    assert guarded.refused == []
    with pytest.raises(Exception, match="AccessDenied"):
        key.get_object(Bucket=BUCKET, Key=f"{PREFIX}/access/app1/id_ed25519")
    guarded.refused.clear()
    run("runner", "delete-and-destroy", "app1", "--yes")
    assert guarded.refused == []
    # A runner cannot overwrite a head unconditionally.
    assert guarded.swaps
    runner = boto3.client(
        "s3", endpoint_url=server[1], region_name="us-east-1", aws_access_key_id="runner", aws_secret_access_key="x"
    )
    with pytest.raises(Exception, match="AccessDenied"):
        runner.put_object(Bucket=BUCKET, Key=f"{PREFIX}/services/app1/head.json", Body=b"{}")
    # The policies grant no more than dtk needs: every action and every resource pattern was used.
    for role in ("planner", "runner"):
        for number, statement in enumerate(guarded.statements[role]):
            actions = {one for one in _texts(statement["Action"]) if one.startswith("s3:")}
            assert actions == {action for used, action, _ in guarded.used[role] if used == number}, (role, number)
