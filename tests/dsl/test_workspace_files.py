"""service.yaml and dtk.yaml are read as people wrote them; invalid ones are refused with locations."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtk.dsl.service import load_service
from dtk.dsl.workspace import load_workspace
from dtk.errors import InvalidError, UsageError
from dtk.model.executor import DaskCluster, Executor, from_word
from dtk.model.names import ComponentName
from dtk.model.store_settings import StoreSettings

SERVICE = """\
format_version: 1
service: dask1
assembly: dtk:dask/cluster
target: rack
attributes:
  slaves/cardinality: 4
  master/dask::scheduler/version: 2.70
components:
  master:
    - gitarchive[mar01]
    - dask::worker: {attributes: {threads: 2}}
  assembly_wide: [demo]
"""
WORKSPACE = """\
format_version: 1
default_target: rack
targets:
  rack:
    type: hosts
    user: admin
    key: ~/.ssh/id_ed25519
    jump: ops@bastion:22
    hosts:
      alpha: {address: 10.0.0.5, port: 2222, nodes: [master]}
      beta: {address: beta.example.org}
"""


def service_problems(tmp_path: Path, text: str, name: str = "dask1") -> list[str]:
    file = tmp_path / name / "service.yaml"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidError) as caught:
        load_service(file, tmp_path)
    return [str(problem) for problem in caught.value.problems]


def workspace_problems(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "dtk.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidError) as caught:
        load_workspace(tmp_path / "dtk.yaml", tmp_path)
    return [str(problem) for problem in caught.value.problems]


def test_a_service_says_what_is_wanted(tmp_path: Path) -> None:
    file = tmp_path / "dask1" / "service.yaml"
    file.parent.mkdir()
    file.write_text(SERVICE, encoding="utf-8")
    service = load_service(file, tmp_path)
    assert (service.name, service.module, service.assembly, service.target) == ("dask1", "dtk/dask", "cluster", "rack")
    setting = service.attributes["master/dask::scheduler/version"]
    assert (str(setting.value), str(setting.location)) == ("2.70", "dask1/service.yaml:7:3")
    assert [use.name for use in service.components["master"]] == [
        ComponentName("gitarchive", "mar01"),
        ComponentName("dask::worker"),
    ]


def test_mistakes_in_a_service_are_told_all_at_once(tmp_path: Path) -> None:
    text = "format_version: 1\nservice: other\nassembly: dask\nattribute: {}\ncomponents: {master: [a b, a, a]}\n"
    assert service_problems(tmp_path, text) == [
        "dask1/service.yaml:2:10: the service is named 'other', but its folder 'dask1'; expected 'dask1' (at service)",
        "dask1/service.yaml:3:11: invalid value 'dask'; expected an assembly: namespace:module/assembly (at assembly)",
        "dask1/service.yaml:4:1: unknown key 'attribute'; expected format_version, service, id, assembly, target,"
        " attributes, components, nodes, removed, access or links; did you mean 'attributes'? (at attribute)",
        "dask1/service.yaml:5:23: invalid value 'a b'; expected a component, e.g. dask::worker or"
        " 'dask::worker: {attributes: …}' (at components/master/0)",
        "dask1/service.yaml:5:31: component 'a' is already here, in line 5 (at components/master/2)",
    ]


@pytest.mark.parametrize("text", ["", "- a\n", "text\n", "a: [\n"])
def test_what_is_no_service_at_all_is_told_with_its_place(tmp_path: Path, text: str) -> None:
    assert all(problem.startswith("dask1/service.yaml:") for problem in service_problems(tmp_path, text))


def test_a_service_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    assert service_problems(tmp_path, "format_version: 2\nwhatever: 1\n") == [
        "dask1/service.yaml:1:17: format_version 2 is newer than this dtk, which reads 1; expected 1, or a newer dtk"
        " (at format_version)"
    ]


def test_a_workspace_has_its_targets_and_the_embedded_one(tmp_path: Path) -> None:
    (tmp_path / "dtk.yaml").write_text(WORKSPACE, encoding="utf-8")
    configuration = load_workspace(tmp_path / "dtk.yaml", tmp_path)
    rack = configuration.target("")
    assert (rack.name, rack.type, rack.settings["jump"]) == ("rack", "hosts", "ops@bastion:22")
    hosts = rack.settings["hosts"]
    assert isinstance(hosts, dict)
    assert hosts["alpha"] == {"address": "10.0.0.5", "port": 2222, "nodes": ["master"]}
    assert configuration.target("local").type == "local"
    with pytest.raises(UsageError) as caught:
        configuration.target("rak")
    assert caught.value.hint == "did you mean 'rack'?"


def test_images_and_sizes_that_a_target_has_for_defaults_are_ones_that_it_knows(tmp_path: Path) -> None:
    text = (
        "format_version: 1\ntargets:\n"
        "  cloud: {type: ec2, sizes: {giant: m7i.48xlarge}, defaults: {size: giant, image: ami-1}}\n"
        "  other: {type: ec2, defaults: {size: gaint, image: ubunto_24_04}}\n"
    )
    size, image = workspace_problems(tmp_path, text)
    assert size.startswith("dtk.yaml:4:39: size 'gaint' is not known to target 'other'; expected micro, ")
    assert "giant" not in size
    assert image.startswith("dtk.yaml:4:53: image 'ubunto_24_04' is not known to target 'other'; expected ")
    assert "did you mean 'ubuntu_24_04'?" in image


@pytest.mark.parametrize("jump", ["bastion", "ops@bastion:65535", "ops@[2001:db8::1]:22", "[fe80::1%eth0]"])
def test_a_jump_host_is_an_ssh_address(tmp_path: Path, jump: str) -> None:
    text = f"format_version: 1\ntargets:\n  rack: {{type: hosts, jump: '{jump}', hosts: {{a: {{address: '::1'}}}}}}\n"
    (tmp_path / "dtk.yaml").write_text(text)
    assert load_workspace(tmp_path / "dtk.yaml").targets["rack"].settings["jump"] == jump


@pytest.mark.parametrize("jump", ["bastion:65536", "bastion:0", "-oProxyCommand=x", "ops@-x", "2001:db8::1:22", "a b"])
def test_what_is_not_an_ssh_address_is_refused_in_its_place(tmp_path: Path, jump: str) -> None:
    text = (
        f"format_version: 1\ntargets:\n  rack: {{type: hosts, jump: '{jump}', hosts: {{a: {{address: '{jump}'}}}}}}\n"
    )
    problems = workspace_problems(tmp_path, text)
    assert problems[0].startswith(f"dtk.yaml:3:29: invalid value '{jump}'; expected user@host:port")
    ipv6_without_port = "2001:db8::1:22"
    assert len(problems) == (1 if jump == ipv6_without_port else 2)


@pytest.mark.parametrize("kind", ["type: ec2", "type: hosts, hosts: {a: {address: b}}"])
def test_a_program_that_leads_to_machines_is_checked_in_its_place(tmp_path: Path, kind: str) -> None:
    def problems(way: str) -> list[str]:
        return workspace_problems(tmp_path, text.replace("WAY", way))

    text = f"format_version: 1\ntargets:\n  rack: {{WAY, {kind}}}\n"
    file = tmp_path / "dtk.yaml"
    file.write_text(text.replace("WAY", "proxy_command: 'tunnel {id} {address}:{port} {user}', ssh_config: true"))
    assert load_workspace(file).targets["rack"].settings["ssh_config"] is True
    (unknown,) = problems("proxy_command: 'tunnel {instance}'")
    assert unknown.startswith("dtk.yaml:3:")
    assert "with no other words in braces than {id}, {address}, {port} and {user}" in unknown
    (both,) = problems("proxy_command: tunnel, jump: bastion")
    assert "expected one way to the machine: jump or proxy_command" in both


def test_mistakes_in_a_workspace_are_told_all_at_once(tmp_path: Path) -> None:
    text = (
        "format_version: 1\ndefault_target: rak\ntargets:\n  rack: {type: hosts, hosts: {alpha: {adress: 10.0.0.5}}}\n"
        "  here: {type: local, hosts: {}}\n  there: {type: docker}\n  empty: {type: hosts}\n"
    )
    assert workspace_problems(tmp_path, text) == [
        "dtk.yaml:2:17: no target 'rak'; expected local or rack or here or there or empty; did you mean 'rack'?"
        " (at default_target)",
        "dtk.yaml:4:39: unknown key 'adress'; expected address, user, key, jump, jump_key, proxy_command, port or"
        " nodes; did you mean 'address'? (at targets/rack/hosts/alpha/adress)",
        "dtk.yaml:5:23: unknown key 'hosts'; expected type or shared_address (at targets/here/hosts)",
        "dtk.yaml:6:17: invalid value 'docker'; expected local, hosts or ec2 (at targets/there/type)",
        "dtk.yaml:7:3: 'hosts' is missing (at targets/empty)",
    ]


@pytest.mark.parametrize(
    ("store", "settings"),
    [
        ("{type: folder, path: ../shared}", StoreSettings("folder", path="../shared")),
        (
            "{type: s3, bucket: acme-dtk, prefix: data, region: eu-central-1, kms_key: alias/dtk, lease: 2m}",
            StoreSettings(
                "s3", bucket="acme-dtk", prefix="data", region="eu-central-1", kms_key="alias/dtk", lease=120.0
            ),
        ),
    ],
    ids=["folder", "s3"],
)
def test_a_workspace_says_where_its_state_is_shared(tmp_path: Path, store: str, settings: StoreSettings) -> None:
    file = tmp_path / "dtk.yaml"
    file.write_text("format_version: 1\n")
    assert load_workspace(file, tmp_path).store is None
    file.write_text(f"format_version: 1\nstore: {store}\n")
    assert load_workspace(file, tmp_path).store == settings


@pytest.mark.parametrize(
    ("store", "problem"),
    [
        ("{type: git}", "2:15: invalid value 'git'; expected s3 or folder (at store/type)"),
        ("{path: /x}", "2:1: 'type' is missing (at store)"),
        ("{type: s3}", "2:8: bucket is missing; expected bucket, which a store of type s3 needs (at store)"),
        (
            "{type: folder, path: /x, bucket: acme}",
            "2:33: bucket is a setting of stores of type s3, but this one is folder (at store/bucket)",
        ),
        (
            "{type: folder, path: /x, lease: 20s}",
            "2:40: invalid value '20s'; expected a time from 30s to 10m (at store/lease)",
        ),
    ],
)
def test_what_is_wrong_with_a_store_is_told_in_its_place(tmp_path: Path, store: str, problem: str) -> None:
    assert workspace_problems(tmp_path, f"format_version: 1\nstore: {store}\n") == [f"dtk.yaml:{problem}"]


def test_connections_are_held_on_a_dask_cluster_that_dtk_yaml_names(tmp_path: Path) -> None:
    def read(text: str) -> Executor:
        (tmp_path / "dtk.yaml").write_text(f"format_version: 1\n{text}", encoding="utf-8")
        return load_workspace(tmp_path / "dtk.yaml", tmp_path).executor

    section = "executor: {type: dask, scheduler: 'tls://10.0.0.1:8786', ca: a.pem, certificate: c.pem, key: k.pem}\n"
    found = read(f"workers: 4\n{section}")
    assert found == Executor(4, DaskCluster("tls://10.0.0.1:8786", "a.pem", "c.pem", "k.pem"))
    assert from_word(found.to_word()) == found
    assert read("executor: {type: process}\n") == read("") == Executor()


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{type: spark}", "2:18: invalid value 'spark'; expected process or dask (at executor/type)"),
        ("{ca: a.pem}", "2:1: 'type' is missing (at executor)"),
        ("{type: dask}", "2:1: 'scheduler' is missing (at executor)"),
        (
            "{type: dask, scheduler: 'tcp://a:1'}",
            "2:35: invalid value 'tcp://a:1'; expected tls://HOST:PORT (at executor/scheduler)",
        ),
        (
            "{type: dask, scheduler: 'tls://a'}",
            "2:35: invalid value 'tls://a'; expected tls://HOST:PORT (at executor/scheduler)",
        ),
        (
            "{type: dask, scheduler: 'tls://a:1', kay: b}",
            "2:48: unknown key 'kay'; expected type, scheduler, ca, certificate or key; did you mean 'key'?"
            " (at executor/kay)",
        ),
        (
            "{type: dask, scheduler: 'tls://a:1', key: 5}",
            "2:53: 5 has the wrong type; expected a text (at executor/key)",
        ),
        (
            "{type: process, scheduler: 'tls://a:1'}",
            "2:38: invalid value 'tls://a:1'; expected nothing unless type is dask (at executor/scheduler)",
        ),
    ],
)
def test_an_executor_that_cannot_be_is_refused_in_its_place(tmp_path: Path, section: str, expected: str) -> None:
    assert workspace_problems(tmp_path, f"format_version: 1\nexecutor: {section}\n")[0] == f"dtk.yaml:{expected}"
