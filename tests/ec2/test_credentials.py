"""Tests of MFA codes: the terminal asks for one once, before the worker starts."""

from __future__ import annotations

import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from dtk.__main__ import run
from dtk.model.aws_access import share_role_cache
from tests.ec2.cloud import Cloud, Reports, write_target
from tests.ec2.test_firewall import FIRST, HERE, SECOND, SERVING, WORKING, rules
from tests.support.terminal import answering
from tests.support.waiting import eventually

PROFILES = """
[profile ops]
role_arn = arn:aws:iam::123456789012:role/operations
source_profile = ada
mfa_serial = arn:aws:iam::123456789012:mfa/ada
[profile ada]
aws_access_key_id = testing
aws_secret_access_key = testing
"""
PROMPT = "Enter MFA code for arn:aws:iam::123456789012:mfa/ada"
CODE = {PROMPT: "123456"}


@pytest.fixture
def asking(cloud: Cloud, service: Reports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Return a cloud with a service whose target assumes a role with MFA and whose ports are not open yet."""
    (cloud.workspace.modules / "acme" / "bare" / "dtk.module.yaml").write_text(SERVING)
    (tmp_path / "config").write_text(PROFILES)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", cloud.url)
    write_target(cloud, open_to=[FIRST], profile="ops")
    return cloud


def test_an_mfa_code_is_asked_for_once_before_the_task_and_its_worker_finds_the_role(asking: Cloud) -> None:
    code, shown = answering(["apply", "spark1", "--yes"], CODE)
    assert code == 0, shown
    assert shown.count(PROMPT) == 1
    assert rules(asking) == {(22, HERE), (8080, FIRST), (9090, FIRST)}
    write_target(asking, open_to=[SECOND], profile="ops")
    code, shown = answering(["apply", "spark1", "--yes", "--lock-wait", "60s"], CODE)
    assert (code, shown.count(PROMPT)) == (0, 0), shown
    assert rules(asking) == {(22, HERE), (8080, SECOND), (9090, SECOND)}
    kept = [file.stat().st_mode & 0o777 for file in Path("~/.aws/cli/cache").expanduser().iterdir()]
    assert kept == [0o600]


def test_where_nobody_can_be_asked_for_the_code_it_is_said_how_to_go_on(asking: Cloud) -> None:
    command = [sys.executable, "-m", "dtk", "plan", "spark1", "--refresh"]
    asked = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert "the AWS profile asks for an MFA code, and there is no terminal to ask on" in asked.stdout + asked.stderr
    assert "aws configure export-credentials --profile ops" in asked.stdout + asked.stderr
    assert "Traceback" not in asked.stderr


def test_a_task_that_needs_no_aws_starts_without_a_code_and_nobody_is_asked_after_its_start(asking: Cloud) -> None:
    (asking.workspace.modules / "acme" / "bare" / "dtk.module.yaml").write_text(WORKING)
    command = [sys.executable, "-m", "dtk", "exec", "spark1", "master/bare::web.create", "--detach"]
    asked = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, start_new_session=True
    )
    assert (asked.returncode, asked.stdout.splitlines()[:1]) == (0, ["task_id: 1"]), asked.stderr
    assert asked.stderr.count(f"{PROMPT}: ") == 1
    assert run(["cancel-task", "spark1"]) == 0
    log = asking.workspace.event_log("spark1", 1)
    eventually(lambda: "task.finished" in log.read_text(), "the task ends")


def without_home(patch: pytest.MonkeyPatch) -> None:
    """Make this process's user one without a HOME and an entry in the list of users, as in many containers."""
    patch.delenv("HOME")
    patch.setattr(pwd, "getpwuid", lambda user: dict[int, Any]()[user])


@pytest.mark.parametrize("has_home", [True, False])
def test_a_role_without_questions_needs_no_place_to_write(
    asking: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], has_home: bool
) -> None:
    (tmp_path / "config").write_text(PROFILES.replace("mfa_serial", "serial"))
    # A file instead of a folder can't be written to even by root, which runs tests in containers.
    (tmp_path / "home").write_text("")
    if not has_home:
        without_home(monkeypatch)
    asking.api.calls.clear()
    assert run(["plan", "spark1", "--refresh"]) == 0, capsys.readouterr().err
    assert "AssumeRole" in [name for name, _ in asking.api.calls]


def test_what_a_role_gave_is_kept_in_memory_where_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    session = botocore.session.Session()
    share_role_cache(session)
    cache = session.get_component("credential_provider").get_provider("assume-role").cache
    assert "role" not in cache
    cache["role"] = {"Credentials": {}}
    assert "role" in cache
    assert cache["role"] == {"Credentials": {}}
    with pytest.raises(KeyError):
        cache["other"]


def test_without_a_home_folder_what_a_role_gave_is_kept_as_botocore_does(monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)
    session = botocore.session.Session()
    before = session.get_component("credential_provider").get_provider("assume-role").cache
    share_role_cache(session)
    assert session.get_component("credential_provider").get_provider("assume-role").cache is before
