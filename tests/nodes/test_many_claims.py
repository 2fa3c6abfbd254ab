"""Tests of the cost of claiming and releasing many hosts, measured in reads and writes instead of time."""

from __future__ import annotations

from pathlib import Path

import pytest

from dtk.disk.files import replace_file
from dtk.nodes import registry
from dtk.nodes.hosts.claims import Claim, Claims, changing_claims
from dtk.nodes.hosts.host import FreeHosts, Host
from dtk.nodes.provider import Connection, NodeRecord, ServiceIdentity
from dtk.nodes.targets import provider_for
from dtk.state.workspace import Workspace
from tests.nodes.test_hosts import rack


class CountingClaims(Claims):
    """Claims that count how often a host is looked up."""

    looked_up = 0

    def __contains__(self, name: object) -> bool:
        self.looked_up += 1
        return super().__contains__(name)


def hosts(count: int, *kept_for: str) -> list[Host]:
    return [Host(f"h{number}", Connection(f"10.0.0.{number}"), kept_for) for number in range(count)]


def look_ups(count: int, *kept_for: str) -> int:
    claims = CountingClaims()
    free = FreeHosts(hosts(count, *kept_for), claims)
    taken = [free.take(Claim("dask1", "lineage", f"slaves:{number}")) for number in range(1, count + 1)]
    assert [host.name for host in taken if host] == [f"h{number}" for number in range(count)]
    assert free.take(Claim("dask1", "lineage", "master")) is None
    return claims.looked_up


@pytest.mark.parametrize("kept_for", [(), ("slaves",)])
def test_twice_as_many_claims_look_at_twice_as_many_hosts(kept_for: tuple[str, ...]) -> None:
    assert look_ups(400, *kept_for) <= 2 * look_ups(200, *kept_for) + 10


def test_a_host_kept_for_several_nodes_is_taken_once_and_the_first_in_order_is_first() -> None:
    kept = Host("both", Connection("10.0.0.1"), ("master", "slaves"))
    free = FreeHosts(
        [Host("any", Connection("10.0.0.2")), Host("later", Connection("10.0.0.3"), ("slaves:1",)), kept], {}
    )
    taken = [free.take(Claim("dask1", "lineage", node)) for node in ("slaves:1", "slaves:2", "master", "slaves:3")]
    assert [host.name if host else None for host in taken] == ["later", "both", "any", None]


def test_many_nodes_are_released_with_one_write_of_the_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace(tmp_path)
    target = rack({f"h{number}": {"address": "127.0.0.1"} for number in range(20)})
    with changing_claims(workspace, "rack") as claims:
        claims.update({f"h{number}": Claim("dask1", "lineage", f"slaves:{number}") for number in range(20)})
    writes: list[Path] = []
    write = replace_file

    def counting(path: Path, text: str) -> None:
        writes.append(path)
        write(path, text)

    monkeypatch.setattr(registry, "replace_file", counting)
    reported: dict[str, object] = {}
    identity = ServiceIdentity("dask1", "lineage", workspace.service_folder("dask1"))
    records = [NodeRecord(f"slaves:{n}", f"h{n}", "running", Connection("127.0.0.1"), {}) for n in range(20)]
    provider_for(target, workspace).terminate(identity, records[:19], reported.__setitem__)
    assert len(reported) == 19
    assert len(writes) == 1
    with changing_claims(workspace, "rack") as claims:
        assert list(claims) == ["h19"]
