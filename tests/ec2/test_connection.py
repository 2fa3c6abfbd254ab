"""Tests of connecting to instances: the target's current settings apply, not those of creation time."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from dtk.nodes.provider import Connection
from tests.ec2.cloud import Cloud


def test_addresses_user_and_jump_host_of_the_target_hold_for_instances_that_exist(cloud: Cloud) -> None:
    made = cloud.create("master", provider=cloud.provider(addresses="public", user="ops"))
    record = made.records["master"]
    known = record.attributes
    own_key = record.connection.key
    assert record.connection == Connection(str(known["public_address"]), user="ops", key=own_key)
    jump = cloud.provider(jump="me@192.0.2.1", jump_key="bastion.pem")
    assert jump.connection_to(record) == Connection(
        hostname=str(known["private_address"]),
        user="admin",
        key=own_key,
        jump="me@192.0.2.1",
        jump_key=str(cloud.workspace.root / "bastion.pem"),
    )
    assert cloud.provider(addresses="public", user="ops").connection_to(record) == record.connection


def test_a_program_gets_the_instances_id_and_needs_no_rule_for_ssh(cloud: Cloud) -> None:
    command = "aws ssm start-session --target {id} --document-name AWS-StartSSHSession --parameters portNumber={port}"
    provider = cloud.provider(proxy_command=command, ssh_from=[])
    record = cloud.create("master", provider=provider).records["master"]
    assert shlex.split(record.connection.proxy_command)[4:6] == [record.id, "--document-name"]
    assert record.connection.proxy_command.endswith(" --parameters portNumber=22")
    (group,) = cloud.client().describe_security_groups(Filters=[{"Name": "group-name", "Values": ["dtk-*"]}])[
        "SecurityGroups"
    ]
    assert [rule["IpProtocol"] for rule in group["IpPermissions"]] == ["-1"]
    assert provider.ssh_refusal(cloud.identity(), [record]) == ""
    endpoint = cloud.provider(proxy_command=command, ssh_from=["10.0.0.0/16"])
    assert [port.source for port in endpoint.update_firewall(cloud.identity(), [record], None).opened] == [
        "10.0.0.0/16"
    ]


def test_the_users_own_settings_name_who_logs_in_where_the_target_does_not(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = cloud.create("master").records["master"]
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host 10.* 172.*\n  User deploy\n  ProxyJump bastion.example.com\n")
    (tmp_path / ".ssh/config").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = cloud.provider(ssh_config=True).connection_to(record)
    assert (found.user, found.jump, found.key) == ("deploy", "bastion.example.com:22", record.connection.key)
    assert cloud.provider(ssh_config=True, user="ops", jump="192.0.2.1").connection_to(record).user == "ops"
    (tmp_path / ".ssh/config").unlink()
    assert cloud.provider(ssh_config=True).connection_to(record).user == "admin"


def test_the_keys_of_the_users_own_settings_are_known_before_there_is_an_instance(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / ".ssh"
    folder.mkdir()
    for name in ("bastion", "office", "named", "instance"):
        (folder / name).touch()
    (folder / "config").write_text(
        "Host 10.* 172.16.*\n  ProxyJump bastion\n  IdentityFile ~/.ssh/instance\n"
        "Host bastion\n  IdentityFile ~/.ssh/bastion\n"
        "Host 8.8.*\n  ProxyJump office\nHost office\n  IdentityFile ~/.ssh/office\n"
        "Host named\n  IdentityFile ~/.ssh/named\nHost 192.168.*\n  Port abc\n"
    )
    (folder / "config").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))

    def keys(**settings: object) -> list[str]:
        return [Path(key).name for key in cloud.provider(**settings).private_keys()]

    private: dict[str, object] = {"ssh_config": True, "addresses": "private"}
    assert keys(**private) == ["bastion"]
    assert keys(ssh_config=True, addresses="public") == ["office"]
    assert keys(**private, key_pair="ours") == ["bastion", "instance"]
    assert keys(**private, key_pair="ours", key="own.pem") == ["own.pem", "bastion"]
    assert keys(**private, jump="named") == ["named"]
    assert keys(**private, jump="named", jump_key="jump.pem") == ["jump.pem"]
    assert keys(**private, proxy_command="tunnel {id}") == []
    assert keys(key_pair="ours", key="own.pem") == ["own.pem"]


def test_the_key_of_a_key_pair_is_that_of_the_instances_made_with_it(cloud: Cloud) -> None:
    cloud.client().create_key_pair(KeyName="ours")
    named = cloud.create("master", provider=cloud.provider(key_pair="ours", key="old.pem")).records["master"]
    own = cloud.create("edge").records["edge"]
    moved = cloud.provider(key_pair="ours", key="new.pem")
    assert moved.connection_to(named).key == str(cloud.workspace.root / "new.pem")
    assert moved.connection_to(own).key == own.connection.key
    assert cloud.provider().connection_to(named).key == str(cloud.workspace.root / "old.pem")


def test_what_is_seen_of_an_instance_is_kept_with_the_way_in_of_now(cloud: Cloud) -> None:
    made = cloud.create("master", "slaves:1")
    (seen, _) = cloud.provider(user="ops").describe(cloud.identity(), list(made.records.values()))
    assert seen.connection.user == "ops"
